"""Normalising, blurring and reducing maps, against references of a few lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeinspect.calibration.normalisation import MapConstants
from edgeinspect.calibration.statistics import blur, normalise, statistics
from edgeinspect.config import Measure, ScoringConfig, Statistic

EVERY = ScoringConfig(statistics=tuple(Statistic))
ROUNDING = 1e-5  # sums of float32 in another order


def make_maps(seed: int = 0, n: int = 2, size: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3, 2, size, size)).astype(np.float32)


def test_each_image_is_normalised_with_the_maps_of_its_tile_position() -> None:
    maps = make_maps(n=3)
    constants = MapConstants(map_mean=make_maps(1, n=2), map_inv_std=make_maps(2, n=2))
    tile = np.array([1, 0, 1], np.int32)
    found = normalise(maps, constants, tile)
    for i, t in enumerate(tile):
        expected = (maps[i] - constants.map_mean[t]) * constants.map_inv_std[t]
        assert np.array_equal(found[i], expected)


def test_one_map_serves_every_tile_position() -> None:
    maps = make_maps(n=3)
    constants = MapConstants(map_mean=make_maps(1, n=1), map_inv_std=make_maps(2, n=1))
    found = normalise(maps, constants, np.array([0, 5, 2], np.int32))
    assert np.array_equal(found, (maps - constants.map_mean) * constants.map_inv_std)


@given(px=st.sampled_from([1, 3, 5]), seed=st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_blur_is_the_mean_of_a_square_with_edges_repeated(px: int, seed: int) -> None:
    maps = make_maps(seed, size=7)
    found = blur(maps, px)
    padded = np.pad(maps, [(0, 0)] * 3 + [(px // 2, px // 2)] * 2, mode="edge")
    for y, x in np.ndindex(7, 7):
        square = padded[..., y : y + px, x : x + px].mean(axis=(-2, -1))
        assert found[..., y, x] == pytest.approx(square, abs=ROUNDING)


def test_statistics_are_ordered_by_measure_then_scale_then_statistic() -> None:
    maps = make_maps(size=40)
    found = statistics(maps, EVERY).reshape(2, 3, 2, 4)
    for n, k, i in np.ndindex(2, 3, 2):
        falling = np.sort(maps[n, k, i].ravel())[::-1]
        expected = [falling.mean(), falling[:16].mean(), falling[:2].mean(), falling[0]]
        assert found[n, k, i] == pytest.approx(expected, abs=ROUNDING)


def test_only_the_statistics_asked_for_are_given_in_their_order() -> None:
    config = ScoringConfig(
        measures=(Measure.L1, Measure.L2, Measure.SSIM), statistics=(Statistic.MAX, Statistic.MEAN)
    )
    maps = make_maps()
    found = statistics(maps, config).reshape(2, 3, 2, 2)
    assert np.array_equal(found[..., 0], maps.max(axis=(-2, -1)))
    assert found[..., 1] == pytest.approx(maps.mean(axis=(-2, -1)), abs=ROUNDING)


def test_a_pixel_that_is_no_number_is_in_every_statistic() -> None:
    maps = make_maps(size=40)
    maps[1, 2, 0, 3, 4] = np.nan
    found = statistics(maps, EVERY).reshape(2, 3, 2, 4)
    assert np.isnan(found[1, 2, 0]).all()
    assert np.isnan(found).sum() == 4
