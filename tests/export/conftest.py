"""A small generator of each form, exported once for all tests."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from edgeinspect.bundle import Bundle
from edgeinspect.config import Form, GeneratorConfig, PreprocessConfig, RunConfig
from edgeinspect.export.bundling import write_bundle
from edgeinspect.model.generator import Generator

SIZE = 64
CONFIG = RunConfig(
    preset="nano",
    generator=GeneratorConfig(
        size=SIZE, patch=8, mask_scales=(1, 2), width=64, depth=1, decoder_depth=1
    ),
    preprocess=PreprocessConfig(size=SIZE),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exported:
    """A generator, its settings, and the bundle made of it."""

    generator: Generator
    config: RunConfig
    bundle: Bundle


def make_generator(form: Form, seed: int = 0) -> tuple[Generator, RunConfig]:
    """Random weights, the head's too, so that the reconstruction is more than the fill."""
    torch.manual_seed(seed)
    config = dataclasses.replace(CONFIG, generator=dataclasses.replace(CONFIG.generator, form=form))
    generator = Generator(config.generator).eval()
    torch.nn.init.normal_(generator.head.weight, std=0.05)
    return generator, config


def write(form: Form, folder: Path) -> Exported:
    generator, config = make_generator(form)
    bundle = write_bundle(generator, config, folder / "part.bundle", provenance={"n_training": 7})
    return Exported(generator=generator, config=config, bundle=bundle)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Form `cross`, for tests that need any bundle."""
    return write(Form.CROSS, tmp_path_factory.mktemp("cross"))


@pytest.fixture(scope="session", params=list(Form), ids=lambda form: form.value)
def each_exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    """Every form in turn."""
    if request.param is Form.CROSS:
        found: Exported = request.getfixturevalue("exported")
        return found
    return write(request.param, tmp_path_factory.mktemp(request.param.value))
