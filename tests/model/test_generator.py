from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeinspect.config import Form, Prior, Target
from edgeinspect.model.forms import FillEmbedding
from edgeinspect.model.generator import Generator, join_patches
from tests.model.settings import random_generator, small, small_features

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


@pytest.mark.parametrize("target", list(Target))
def test_a_target_names_what_is_reconstructed(target):
    generator = Generator(small_features(target=target))
    pixels, features = generator(torch.rand(3, 3, 64, 64))
    assert (pixels is not None, features is not None) == (target.has_pixels, target.has_features)
    if features is not None:
        assert features.shape == (3, 2, 64, generator.targets.width)


@pytest.mark.parametrize("form", FORMS)
def test_features_of_one_scale_equal_that_scale_of_all(form):
    generator = random_generator(small_features(form))
    images, scales = torch.rand(2, 3, 64, 64), torch.tensor([1, 0])
    with torch.no_grad():
        everything, one = generator(images).features, generator(images, scales).features
    for i, scale in enumerate(scales):
        assert torch.allclose(one[i, 0], everything[i, scale], atol=ROUNDING)


@pytest.mark.parametrize("target", [Target.FEATURES, Target.BOTH])
@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_features_do_not_depend_on_the_pixels_that_their_pass_removed(form, target, seed):
    generator = random_generator(small_features(form, target))
    torch.manual_seed(seed)
    image, scale, complement = torch.rand(1, 3, 64, 64), seed % 2, seed // 2 % 2
    removed = generator.masks.removed[2 * scale + complement]
    other = torch.where(removed > 0, torch.rand_like(image), image)
    tokens = generator.masks.token_removed[2 * scale + complement]
    with torch.no_grad():
        before, after = (generator(x).features[0, scale, tokens] for x in (image, other))
        assert not torch.allclose(*(generator.targets(x)[0, tokens] for x in (image, other)))
    assert torch.allclose(before, after, atol=ROUNDING)


@pytest.mark.parametrize("form", FORMS)
def test_features_depend_on_the_pixels_that_were_not_removed(form):
    generator = random_generator(small_features(form))
    image, tokens = torch.rand(1, 3, 64, 64), generator.masks.token_removed[0]
    other = torch.where(generator.masks.removed[0] > 0, image, torch.rand_like(image))
    with torch.no_grad():
        before, after = (generator(x).features[0, 0, tokens] for x in (image, other))
    assert ((before - after).abs().amax(dim=1) > 1e-3).all()


@pytest.mark.parametrize("form", FORMS)
def test_a_new_generator_takes_features_to_be_as_usual(form):
    assert not Generator(small_features(form))(torch.rand(1, 3, 64, 64)).features.any()


@pytest.mark.parametrize("form", FORMS)
def test_training_and_inference_reconstruct_the_same_features(form):
    generator = random_generator(small_features(form))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        inferred, trained = generator(images).features, generator.train()(images).features
    assert torch.allclose(inferred, trained, atol=ROUNDING)


@pytest.mark.parametrize("target", [Target.FEATURES, Target.BOTH])
@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_all_but_the_backbone(form, target):
    generator = random_generator(small_features(form, target)).train()
    images = torch.rand(2, 3, 64, 64)
    pixels, features = generator(images)
    loss = (features - generator.targets(images)[:, None]).square().mean()
    (loss if pixels is None else loss + pixels.square().mean()).backward()
    reached = {n for n, p in generator.named_parameters() if p.grad is not None and p.grad.any()}
    names = {n for n, _ in generator.named_parameters()}
    assert names - reached == {n for n in names if n.startswith("targets.backbone.")}


def test_the_embedding_of_a_fill_counts_pixels_from_minus_2_to_2():
    embedding = FillEmbedding(small(), width=64)
    fill = torch.rand(2, 3, 3, 64, 64)
    expected = embedding.patches(((fill - 0.5) * 4).flatten(0, 1)).unflatten(0, (2, 3))
    assert torch.allclose(embedding(fill), expected, atol=1e-5)


def test_joined_patches_are_the_image_that_was_cut():
    image = torch.rand(2, 3, 8, 8)
    cut = image.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(2, 4, 48)
    assert torch.equal(join_patches(cut, 2, 4), image)
