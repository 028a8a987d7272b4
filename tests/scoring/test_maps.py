"""Normalisation, blur and the pick of a map, against loops and the NumPy half."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeinspect.calibration.statistics import blur
from edgeinspect.scoring.maps import box_blur, normalise_maps, pick_map

SHAPE = (2, 3, 2, 8, 8)  # B, K, I, H, W


def make_maps(seed: int = 0, n: int = 2) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, 1, (n, *SHAPE[1:]))).float()


def test_each_image_is_normalised_by_the_map_of_its_tile() -> None:
    errors, mean, inv_std = make_maps(0), make_maps(1, 4), make_maps(2, 4)
    found = normalise_maps(errors, torch.tensor([3, 1]).int(), mean, inv_std)
    assert torch.equal(found[0], (errors[0] - mean[3]) * inv_std[3])
    assert torch.equal(found[1], (errors[1] - mean[1]) * inv_std[1])


@pytest.mark.parametrize("n_px", [1, 3, 5])
def test_blur_is_the_mean_of_the_square_around_each_pixel(n_px: int) -> None:
    maps = make_maps()
    found, half = box_blur(maps, n_px).numpy(), n_px // 2
    padded = np.pad(maps.numpy()[1, 2, 0], half, mode="edge")
    for y, x in np.ndindex(8, 8):
        expected = padded[y : y + n_px, x : x + n_px].mean()
        assert found[1, 2, 0, y, x] == pytest.approx(expected, abs=1e-6)


def test_blur_agrees_with_the_one_of_calibration() -> None:
    maps = make_maps()
    assert box_blur(maps, 3).numpy() == pytest.approx(blur(maps.numpy(), 3), abs=1e-6)


def test_the_picked_map_is_counted_measure_by_measure_then_scale() -> None:
    maps = make_maps()
    found = pick_map(maps, torch.tensor([5, 2]))
    assert torch.equal(found[0], maps[0, 2, 1])
    assert torch.equal(found[1], maps[1, 1, 0])


def test_a_map_that_is_not_finite_spoils_no_other() -> None:
    maps = make_maps()
    maps[0, 0] = torch.nan
    assert torch.equal(pick_map(maps, torch.tensor([4, 0]))[0], maps[0, 2, 0])
