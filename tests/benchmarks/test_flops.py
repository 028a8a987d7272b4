from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.flops import count_flops
from edgeinspect.config import Form, Prior, Target, preset
from edgeinspect.model.generator import Generator
from tests.model.settings import small, small_features


def flops_of_torch(call, *inputs) -> int:
    with (
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        call(*inputs)
    return counter.get_total_flops()


@pytest.mark.parametrize("merge", [0, 4])
@pytest.mark.parametrize("decoder_width", [None, 128])
@pytest.mark.parametrize("form", list(Form))
def test_the_count_equals_that_of_torch(form, decoder_width, merge):
    config = small(form, decoder_width=decoder_width, merge=merge)
    generator = Generator(config).eval()
    assert count_flops(config).total == flops_of_torch(generator, torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize("octaves", [1, 2])
@pytest.mark.parametrize("target", [Target.FEATURES, Target.BOTH])
@pytest.mark.parametrize("form", list(Form))
def test_the_count_with_features_equals_that_of_torch(form, target, octaves):
    config = small_features(form, target, strides=(4, 8, 16), feature_octaves=octaves)
    generator, image = Generator(config).eval(), torch.rand(1, 3, 64, 64)
    counted, sizes = count_flops(config), (image, torch.rand(1, 3, 32, 32))
    assert counted.backbone == sum(
        flops_of_torch(generator.targets.backbone, one) for one in sizes[:octaves]
    )
    recons = torch.zeros(1, config.n_scales, config.n_tokens, generator.targets.width)
    compared = flops_of_torch(generator.targets.error_maps, image, recons)
    assert counted.total == flops_of_torch(generator, image) + compared


@pytest.mark.parametrize("form", list(Form))
def test_features_cost_what_pixels_do_not(form):
    pixels, both = (count_flops(small_features(form, t)) for t in (Target.PIXELS, Target.BOTH))
    assert (pixels.features, pixels.backbone) == (0, 0)
    assert both.total - pixels.total == both.features + both.backbone


def test_a_block_costs_what_the_hand_count_says():
    deeper = dataclasses.replace(preset("tiny", Target.PIXELS).generator, form=Form.ALL, depth=5)
    n, width = 256, 192
    block = 24 * n * width**2 + 4 * n * n * width
    more = count_flops(deeper).encoder - count_flops(dataclasses.replace(deeper, depth=4)).encoder
    assert more == 6 * block


def test_form_cross_costs_about_half_of_form_all():
    everything = dataclasses.replace(preset("edge", Target.PIXELS).generator, form=Form.ALL)
    crossing = dataclasses.replace(everything, form=Form.CROSS)
    assert 0.4 < count_flops(crossing).total / count_flops(everything).total < 0.55


def test_the_fill_costs_little():
    config = preset("tiny", Target.PIXELS).generator
    assert count_flops(config).fill < 0.05 * count_flops(config).total
    assert count_flops(dataclasses.replace(config, prior=Prior.NONE)).fill == 0
