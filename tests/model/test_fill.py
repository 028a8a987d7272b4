from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeinspect.config import FADE_SHARE
from edgeinspect.model.fill import SmoothFill
from edgeinspect.model.masks import token_masks


def filled_by_the_definition(image, patch):
    """Weighted mean of the four neighbouring blocks, pixel by pixel, for blocks of one patch."""
    side = len(image)
    out = np.zeros_like(image)
    for y, x in np.ndindex(side, side):
        total = weight = 0.0
        for v, u in np.ndindex(side, side):
            apart = abs(y // patch - v // patch) + abs(x // patch - u // patch)
            if apart == 1:
                w = np.exp(-(abs(y - v) + abs(x - u)) / (patch * FADE_SHARE))
                total, weight = total + w * image[v, u], weight + w
        out[y, x] = total / weight
    return out


def enlarged(rows, patch, factor):
    """Linear interpolation of every block's rows, which does not look outside the block."""
    centres = (np.arange(patch * factor) + 0.5) / factor - 0.5
    blocks = rows.reshape(-1, patch, rows.shape[1])
    columns = [[np.interp(centres, np.arange(patch), column) for column in b.T] for b in blocks]
    return np.concatenate([np.array(c).T for c in columns])


def test_the_fill_equals_its_definition():
    image = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    fill = SmoothFill(size=16, patch=4, mask_scales=(1,))
    got = fill(torch.from_numpy(image).expand(1, 3, -1, -1))[0, 0, 0].numpy()
    assert np.allclose(got, filled_by_the_definition(image, 4), atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_larger_blocks_are_filled_at_the_resolution_of_a_patch_and_enlarged(scale):
    patch = 4
    side = 4 * patch * scale
    image = np.random.default_rng(0).random((side, side)).astype(np.float32)
    cells = image.reshape(side // scale, scale, side // scale, scale).mean(axis=(1, 3))
    expected = enlarged(
        enlarged(filled_by_the_definition(cells, patch), patch, scale).T, patch, scale
    ).T
    fill = SmoothFill(size=side, patch=patch, mask_scales=(scale,))
    got = fill(torch.from_numpy(image).expand(1, 3, -1, -1))[0, 0, 0].numpy()
    assert np.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_flat_image_is_filled_with_its_own_grey(scale):
    fill = SmoothFill(size=64, patch=8, mask_scales=(scale,))
    assert torch.allclose(fill(torch.full((1, 3, 64, 64), 0.3)), torch.tensor(0.3))


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("complement", [0, 1])
def test_a_removed_block_has_no_influence_on_its_own_fill(scale, complement):
    fill = SmoothFill(size=64, patch=8, mask_scales=(scale,))
    mask = token_masks(8, (scale,))[0, complement].reshape(8, 8).float()
    mask = mask.repeat_interleave(8, 0).repeat_interleave(8, 1)
    image = torch.rand(1, 3, 64, 64)
    before, after = fill(image), fill(image + mask)
    assert torch.allclose(before * mask, after * mask, atol=1e-6)


def test_a_smooth_gradient_is_filled_closely():
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    error = (SmoothFill(size=64, patch=8, mask_scales=(1, 2))(ramp) - ramp.unsqueeze(1)).abs()
    half_block = 8 / 63  # the ramp over half of the largest block
    assert error[..., 8:-8, 16:-16].max() < half_block
