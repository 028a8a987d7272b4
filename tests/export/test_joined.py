"""Complements joined before pixels are laid out, against one pass after the other."""

from __future__ import annotations

import pytest
import torch

from edgeinspect.config import Form, GeneratorConfig, Prior
from edgeinspect.export.joined import JoinedSmoothing, JoinedTokens
from edgeinspect.model.fusion import fuse_reconstructions
from edgeinspect.model.generator import Generator
from edgeinspect.scoring.measures import luminance

SIZE, PATCH = 32, 8
TOLERANCE = 1e-6  # of values near 1: a few roundings in float32


def make_generator(form: Form, prior: Prior = Prior.FILL) -> Generator:
    torch.manual_seed(0)
    config = GeneratorConfig(
        size=SIZE, patch=PATCH, mask_scales=(1, 2), width=64, depth=1, decoder_depth=1,
        form=form, prior=prior,
    )  # fmt: skip
    generator = Generator(config).eval()
    torch.nn.init.normal_(generator.smooth.weight, std=0.3)
    torch.nn.init.normal_(generator.smooth.bias)
    return generator


@pytest.mark.parametrize("form", list(Form))
def test_each_token_comes_from_the_pass_that_removed_it(form: Form) -> None:
    generator = make_generator(form)
    tables = generator.masks.tables()
    n_decoded = tables.masked.shape[-1] if form is Form.CROSS else tables.token_removed.shape[-1]
    tokens = torch.rand(2 * tables.n_passes, n_decoded, 3)
    placed = generator.form.place(tokens, tables).unflatten(0, (2, -1, 2))
    removed = tables.token_removed.unflatten(0, (-1, 2))[..., None]
    assert torch.equal(JoinedTokens(generator)(tokens), (placed * removed).sum(dim=2))


@pytest.mark.parametrize("form", [Form.ALL, Form.VISIBLE])
def test_a_token_that_a_pass_saw_spoils_no_other(form: Form) -> None:
    generator = make_generator(form)
    seen = ~generator.masks.token_removed
    tokens = torch.zeros(*seen.shape, 1).masked_fill(seen[..., None], torch.nan)
    assert (JoinedTokens(generator)(tokens) == 0).all()


def test_smoothing_joined_pictures_is_that_of_each_pass() -> None:
    generator = make_generator(Form.CROSS)
    images, removed = torch.rand(2, 3, SIZE, SIZE), torch.rand(2, 2, 3, SIZE, SIZE)
    masks = generator.masks.removed.unflatten(0, (-1, 2))  # (I, 2, 1, H, W)
    passes = torch.where(masks > 0, removed[:, :, None], images[:, None, None])
    with torch.no_grad():
        plain = generator.smooth(passes.flatten(0, 2)).unflatten(0, (2, 2, 2))
        expected = fuse_reconstructions(plain, masks.squeeze(2))
        found = JoinedSmoothing(generator)(images, removed, generator.smooth)
    assert torch.allclose(found[:, :, :3], expected, atol=TOLERANCE)
    assert torch.allclose(found[:, :, 3], luminance(expected), atol=TOLERANCE)


def test_smoothing_without_a_bias_adds_none() -> None:
    generator = make_generator(Form.CROSS)
    generator.smooth.bias = None
    dark = torch.zeros(1, 3, SIZE, SIZE)
    found = JoinedSmoothing(generator)(
        dark, dark[:, None].expand(-1, 2, -1, -1, -1), generator.smooth
    )
    assert (found == 0).all()
