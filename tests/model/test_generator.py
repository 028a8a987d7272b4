from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeinspect.config import Form, Prior
from edgeinspect.model.generator import Generator, join_patches
from tests.model.settings import random_generator, small

FORMS = list(Form)
ROUNDING = 1e-5  # FP32 sums in another order


@pytest.mark.parametrize("merge", [0, 4])
@pytest.mark.parametrize("form", FORMS)
def test_all_passes_of_a_batch_come_back_at_once(form, merge):
    recons = Generator(small(form, merge=merge))(torch.rand(3, 3, 64, 64)).pixels
    assert recons.shape == (3, 2, 2, 3, 64, 64)


@pytest.mark.parametrize("form", FORMS)
def test_one_scale_an_image_equals_that_scale_of_all(form):
    generator = random_generator(small(form))
    images, scales = torch.rand(2, 3, 64, 64), torch.tensor([1, 0])
    with torch.no_grad():
        everything, one = generator(images).pixels, generator(images, scales).pixels
    for i, scale in enumerate(scales):
        assert torch.allclose(one[i, 0], everything[i, scale], atol=ROUNDING)


@pytest.mark.parametrize("prior", list(Prior))
@pytest.mark.parametrize("merge", [0, 4])
@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_a_reconstruction_does_not_depend_on_the_pixels_that_were_removed(form, merge, prior, seed):
    generator = random_generator(small(form, merge=merge, prior=prior))
    torch.manual_seed(seed)
    image = torch.rand(1, 3, 64, 64)
    masks = generator.masks.removed.unflatten(0, (2, 2))  # (I, 2, 1, H, W)
    scale, complement = seed % 2, seed // 2 % 2
    mask = masks[scale, complement]
    other = image + mask * torch.rand_like(image)
    with torch.no_grad():
        before, after = (generator(x).pixels[0, scale, complement] * mask for x in (image, other))
    assert torch.allclose(before, after, atol=ROUNDING)


@pytest.mark.parametrize("form", FORMS)
def test_a_reconstruction_depends_on_the_pixels_that_were_not_removed(form):
    generator = random_generator(small(form))
    image, mask = torch.rand(1, 3, 64, 64), generator.masks.removed[0]
    other = image + (1 - mask) * 0.2 * torch.rand_like(image)
    with torch.no_grad():
        before, after = (generator(x).pixels[0, 0, 0] * mask for x in (image, other))
    assert (before - after).abs().max() > 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_a_new_generator_reconstructs_the_smooth_fill(form):
    generator = Generator(small(form))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert generator.fill is not None
        assert torch.allclose(generator.reconstruct(images), generator.fill(images), atol=ROUNDING)


@pytest.mark.parametrize("merge", [0, 4])
@pytest.mark.parametrize("decoder_width", [None, 128])
@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_every_parameter(form, decoder_width, merge):
    generator = random_generator(small(form, decoder_width=decoder_width, merge=merge)).train()
    generator.reconstruct(torch.rand(2, 3, 64, 64)).square().mean().backward()
    silent = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("form", FORMS)
def test_training_and_inference_compute_the_same(form):
    generator = random_generator(small(form))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        inferred, trained = generator(images).pixels, generator.train()(images).pixels
    assert torch.allclose(inferred, trained, atol=ROUNDING)


def test_joined_patches_are_the_image_that_was_cut():
    image = torch.rand(2, 3, 8, 8)
    cut = image.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(2, 4, 48)
    assert torch.equal(join_patches(cut, 2, 4), image)
