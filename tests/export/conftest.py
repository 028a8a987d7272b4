"""A small generator of each form, exported once for all tests."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from edgeinspect.bundle import Bundle
from edgeinspect.config import (
    Form,
    GeneratorConfig,
    LossConfig,
    PreprocessConfig,
    Prior,
    RunConfig,
    Target,
)
from edgeinspect.export.bundling import write_bundle
from edgeinspect.model.generator import Generator
from tests.backbones import BACKBONE

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


def config_of(
    form: Form,
    target: Target = Target.PIXELS,
    merge: int = 0,
    prior: Prior = Prior.FILL,
) -> RunConfig:
    """Features are those of the tiny backbone, in two levels; where alone, in two octaves."""
    return dataclasses.replace(
        CONFIG,
        generator=dataclasses.replace(
            CONFIG.generator,
            form=form,
            target=target,
            merge=merge,
            prior=prior,
            backbone=BACKBONE,
            feature_strides=(8, 16),
            feature_memory=50,
            feature_octaves=2 if target is Target.FEATURES else 1,
        ),
        losses=LossConfig(adversarial=0.0, latent=0.0),
    )


def make_generator(
    form: Form,
    seed: int = 0,
    target: Target = Target.PIXELS,
    merge: int = 0,
    prior: Prior = Prior.FILL,
) -> tuple[Generator, RunConfig]:
    """Random weights, the heads' too, so that the reconstruction is more than the fill."""
    torch.manual_seed(seed)
    config = config_of(form, target, merge, prior)
    generator = Generator(config.generator).eval()
    if target.has_pixels:
        torch.nn.init.normal_(generator.head.weight, std=0.05)
    if target.has_features:
        torch.nn.init.normal_(generator.feature_head.weight, std=0.05)
        good, others = torch.rand(8, 3, SIZE, SIZE), torch.rand(4, 3, SIZE, SIZE)
        generator.targets.fit(good.split(4), [others], n_images=8)
    return generator, config


Exporting = Callable[..., Exported]


@pytest.fixture(scope="session")
def export_once(tmp_path_factory: pytest.TempPathFactory) -> Exporting:
    """Exports of (form, target, merge, prior), each made when it is first asked for."""

    @functools.cache
    def export(
        form: Form,
        target: Target = Target.PIXELS,
        merge: int = 0,
        prior: Prior = Prior.FILL,
    ) -> Exported:
        generator, config = make_generator(form, target=target, merge=merge, prior=prior)
        path = tmp_path_factory.mktemp(form.value) / "part.bundle"
        bundle = write_bundle(generator, config, path, provenance={"n_training": 7})
        return Exported(generator=generator, config=config, bundle=bundle)

    return export


@pytest.fixture(scope="session")
def exported(export_once: Exporting) -> Exported:
    """Form `cross`, for tests that need any bundle."""
    return export_once(Form.CROSS)


@pytest.fixture(scope="session", params=list(Form), ids=lambda form: form.value)
def each_exported(request: pytest.FixtureRequest, export_once: Exporting) -> Exported:
    """Every form in turn."""
    return export_once(request.param)


@pytest.fixture(scope="session", params=[Target.FEATURES, Target.BOTH], ids=lambda t: t.value)
def of_features(request: pytest.FixtureRequest, export_once: Exporting) -> Exported:
    """Form `cross` with features of a backbone as its target, alone and beside pixels."""
    return export_once(Form.CROSS, request.param)


MERGE = 8
VARIANTS = list(itertools.product(Form, Target, (0, MERGE)))


@pytest.fixture(
    scope="session", params=VARIANTS, ids=lambda v: f"{v[0].value}-{v[1].value}-merge{v[2]}"
)
def each_variant(request: pytest.FixtureRequest, export_once: Exporting) -> Exported:
    """Every form, target, and merging off and on: all operators that a graph can have."""
    return export_once(*request.param)
