"""Settings of all tests: properties run the same examples everywhere, however slow the machine."""

from __future__ import annotations

import random
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("edgeinspect", deadline=None, derandomize=True)
settings.load_profile("edgeinspect")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before a test's fixtures: it draws the same alone, after others and beside them."""
    random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept for the user goes elsewhere, and each test begins with nothing."""
    place = tmp_path_factory.getbasetemp() / f"state-{uuid.uuid4().hex}"
    monkeypatch.setenv("XDG_STATE_HOME", str(place))


@pytest.fixture(scope="session")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the tiny backbone that tests share."""
    from tests.backbones import write_backbone  # timm, which most tests do not need

    return write_backbone(tmp_path_factory.mktemp("backbone") / "backbone.safetensors")
