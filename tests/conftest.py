"""Settings of all tests: properties run the same examples everywhere, however slow the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("edgeinspect", deadline=None, derandomize=True)
settings.load_profile("edgeinspect")


@pytest.fixture(scope="session")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the tiny backbone that tests share."""
    from tests.backbones import write_backbone  # timm, which most tests do not need

    return write_backbone(tmp_path_factory.mktemp("backbone") / "backbone.safetensors")
