"""The unoptimised model: its sizes, and that it computes what the whole graph does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from edgeinspect.bench.baseline import (
    SIZES,
    Baseline,
    UnoptimisedModel,
    make_generator,
    unoptimised,
    with_generator,
)
from edgeinspect.config import (
    Equalisation,
    Form,
    GeneratorConfig,
    LossConfig,
    PreprocessConfig,
    Prior,
    RunConfig,
    Target,
    preset,
)
from edgeinspect.export.golden import make_golden
from edgeinspect.export.graph import InspectionGraph
from tests.backbones import BACKBONE

TOLERANCE = 1e-4  # the order of sums differs between one batch and one pass at a time


def small(target: Target) -> RunConfig:
    """64 px, which has no room for the preset's masks."""
    generator = GeneratorConfig(
        size=64,
        patch=8,
        mask_scales=(1, 2),
        width=64,
        depth=1,
        decoder_depth=1,
        form=Form.ALL,
        prior=Prior.FILL if target is Target.FEATURES else Prior.NONE,
        target=target,
        backbone=BACKBONE,
        feature_strides=(8, 16),
    )
    return RunConfig(
        preset="nano",
        generator=generator,
        losses=LossConfig(adversarial=0, latent=0),
        preprocess=PreprocessConfig(size=64, equalise=Equalisation.SPREAD),
    )


def noise(n: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("target", Target)
def test_sizes_are_those_of_the_preset_whatever_the_run_changed(name: str, target: Target) -> None:
    config = preset(name, target)
    changed = with_generator(config, decoder_depth=1, merge=2, mask_scales=(2,))
    found = unoptimised(changed).generator
    assert found == unoptimised(config).generator
    assert (found.width, found.depth, found.decoder_depth) == SIZES[name]
    assert found.width_of_decoder == found.width
    assert (found.form, found.merge, found.n_passes) == (Form.ALL, 0, 6)


@pytest.mark.parametrize("target", [Target.PIXELS, Target.BOTH])
def test_pass_by_pass_it_computes_what_the_graph_of_form_all_does(target: Target) -> None:
    config = small(target)
    graph = InspectionGraph(make_generator(config.generator), config).eval()
    images = noise(2, 64)
    golden, _ = make_golden(graph, images, ("a", "b"), config)
    constants = [torch.from_numpy(v) for v in golden.constants.as_inputs().values()]
    with torch.inference_mode():
        scores = UnoptimisedModel(graph)(
            torch.from_numpy(images), torch.zeros(2, dtype=torch.int32), *constants
        )
    assert np.allclose(scores[0].numpy(), golden.score, rtol=TOLERANCE)
    assert np.allclose(scores[4].numpy(), golden.anomaly_map, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("target", Target)
def test_it_scores_arrays_as_a_session_does(target: Target) -> None:
    baseline = Baseline(small(target), threads=1)
    scores = baseline.infer(noise(2, 64), np.zeros(2, np.int32))
    assert scores.anomaly_map.shape == (2, 64, 64)
    assert np.isfinite(scores.score).all()


def test_masks_are_the_presets_where_the_image_has_room_for_them() -> None:
    config = dataclasses.replace(small(Target.PIXELS), preset="tiny")
    assert unoptimised(config).generator.mask_scales == (1, 2)
    large = dataclasses.replace(
        config,
        generator=dataclasses.replace(config.generator, size=128, patch=32),
        preprocess=PreprocessConfig(size=128),
    )
    assert unoptimised(large).generator.mask_scales == (1, 2, 4)
    assert unoptimised(large).generator.patch == 16
