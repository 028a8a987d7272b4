from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.config import GeneratorConfig
from edgeinspect.errors import ConfigError
from edgeinspect.model.masks import (
    BlockMasks,
    block_masks,
    gather_tokens,
    place_tokens,
    token_masks,
)

grids = st.sampled_from([(4, (1, 2)), (8, (1, 2, 4)), (16, (1, 2, 4)), (8, (4,))])


@given(grids)
def test_complementary_masks_cover_every_token_once(grid):
    n_side, scales = grid
    assert (token_masks(n_side, scales).int().sum(dim=1) == 1).all()


@given(grids)
def test_each_mask_removes_exactly_half_of_the_tokens(grid):
    n_side, scales = grid
    assert (token_masks(n_side, scales).sum(dim=-1) == n_side**2 // 2).all()


def test_blocks_are_squares_of_the_scale_in_pixels():
    masks = block_masks(GeneratorConfig(size=128, patch=16))
    block = masks[2, 0, :64, :64]
    assert (block == block[0, 0]).all()
    assert (masks[2, 0, :64, 64:] == 1 - block[0, 0]).all()


def test_pixels_follow_their_tokens():
    config = GeneratorConfig(size=128, patch=16)
    pixels = block_masks(config)[..., ::16, ::16].flatten(2).bool()
    assert torch.equal(pixels, token_masks(8, config.mask_scales))


def test_an_image_size_that_blocks_do_not_halve_is_refused():
    with pytest.raises(ConfigError, match="192 px, which mask blocks of 64 px do not halve"):
        GeneratorConfig(size=192)


@given(grids, st.integers(1, 3))
def test_visible_and_masked_tokens_placed_together_give_all_tokens_back(grid, batch):
    n_side, scales = grid
    masks = BlockMasks(GeneratorConfig(size=n_side * 4, patch=4, mask_scales=scales))
    tables = masks.tables()
    tokens = torch.randn(batch, n_side**2, 3)
    both = torch.zeros(batch * tables.n_passes, n_side**2, 3)
    for index, place in (
        (tables.visible, tables.place_visible),
        (tables.masked, tables.place_masked),
    ):
        half = gather_tokens(tokens, index)
        padded = torch.cat([half, torch.zeros_like(half[:, :1])], dim=1)
        both += place_tokens(padded, place)
    assert torch.equal(both, tokens.repeat_interleave(tables.n_passes, 0))


def test_passes_of_single_images_pick_the_same_tokens_as_all_passes():
    masks = BlockMasks(GeneratorConfig(size=32, patch=4, mask_scales=(1, 2)))
    tokens = torch.randn(2, 64, 3)
    everything = gather_tokens(tokens, masks.tables().visible).unflatten(0, (2, 4))
    chosen = masks.tables(torch.tensor([[2, 3], [0, 1]]))
    some = gather_tokens(tokens, chosen.visible).unflatten(0, (2, 2))
    assert torch.equal(some[0], everything[0, 2:])
    assert torch.equal(some[1], everything[1, :2])
