"""The small generator that model tests share: 64 px, 8 px patches, two scales, width 64."""

from __future__ import annotations

import dataclasses

import torch

from edgeinspect.config import Form, GeneratorConfig, Target
from edgeinspect.model.generator import Generator
from tests.backbones import BACKBONE

SMALL = GeneratorConfig(
    size=64, patch=8, mask_scales=(1, 2), width=64, depth=2, decoder_depth=2, mlp_ratio=2.0
)


def small(form: Form = Form.CROSS, **changes: object) -> GeneratorConfig:
    return dataclasses.replace(SMALL, form=form, **changes)


def small_features(
    form: Form = Form.CROSS,
    target: Target = Target.FEATURES,
    strides: tuple[int, ...] = (8, 16),
    **changes: object,
) -> GeneratorConfig:
    """With features of the tiny backbone; by default a cell a token, and one to four tokens."""
    of_features = {"backbone": BACKBONE, "feature_strides": strides, "feature_memory": 20}
    return small(form, target=target, **{**of_features, **changes})


def random_generator(config: GeneratorConfig) -> Generator:
    """Random weights everywhere, so that no path is silent because it starts at zero."""
    torch.manual_seed(0)
    generator = Generator(config).eval()
    with torch.no_grad():
        for parameter in generator.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return generator
