"""Mean and spread of good parts' error maps, by position in the block and by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.calibration.normalisation import (
    MapConstants,
    MapSums,
    block_sides_px,
    floored_spread,
    map_constants,
)
from edgeinspect.calibration.statistics import normalise
from edgeinspect.config import GeneratorConfig, Normalisation
from tests.calibration.made_maps import SIDES, SIZE, random_maps

EXACT = 1e-4  # float32 constants of float64 sums


def sums_of(maps: np.ndarray, *, n_tiles: int = 1) -> MapSums:
    """Of maps (n, tiles, K, I, H, W)."""
    sums = MapSums.empty((n_tiles, *maps.shape[2:]))
    for of_picture in maps:
        sums.add(of_picture, np.arange(len(of_picture), dtype=np.int32))
    return sums


def constants_of(maps: np.ndarray, how: Normalisation, *, n_tiles: int = 1) -> MapConstants:
    return map_constants(sums_of(maps, n_tiles=n_tiles), how, SIDES)


def test_block_sides_are_patches_times_pixels() -> None:
    assert block_sides_px(GeneratorConfig(patch=16, mask_scales=(1, 2, 4))) == (16, 32, 64)


def test_without_normalisation_maps_stay_as_they_are() -> None:
    maps = random_maps(0, 5)
    constants = constants_of(maps, Normalisation.NONE)
    assert np.array_equal(normalise(maps[0], constants, np.zeros(1, np.int32)), maps[0])


def test_block_constants_are_moments_of_each_place_in_the_block() -> None:
    maps = random_maps(1, 6, n_tiles=2)
    constants = constants_of(maps, Normalisation.BLOCK)
    for i, side in enumerate(SIDES):
        for y, x in [(0, 0), (1, 3), (3, 2)]:
            values = maps[:, :, 0, i, y::side, x::side]
            assert constants.map_mean[0, 0, i, y, x] == pytest.approx(values.mean(), rel=EXACT)
            assert constants.map_inv_std[0, 0, i, y, x] == pytest.approx(
                1 / values.std(), rel=EXACT
            )


def test_block_constants_repeat_over_the_map() -> None:
    constants = constants_of(random_maps(1, 6), Normalisation.BLOCK)
    for i, side in enumerate(SIDES):
        shifted = np.roll(constants.map_mean[0, :, i], (side, side), axis=(-2, -1))
        assert np.array_equal(shifted, constants.map_mean[0, :, i])


def test_block_normalised_good_maps_have_mean_0_and_spread_1() -> None:
    maps = random_maps(2, 20)
    normalised = normalise(maps[:, 0], constants_of(maps, Normalisation.BLOCK), np.zeros(20, int))
    assert normalised.mean() == pytest.approx(0, abs=1e-3)
    assert normalised.std() == pytest.approx(1, abs=1e-3)


def test_pixel_means_are_those_of_each_tile_position() -> None:
    maps = random_maps(3, 7, n_tiles=3)
    constants = constants_of(maps, Normalisation.PIXEL, n_tiles=3)
    assert constants.map_mean == pytest.approx(maps.mean(axis=0), rel=EXACT)


def test_pixel_spreads_are_drawn_towards_the_usual_one_and_less_with_more_pictures() -> None:
    def unevenness(n: int) -> float:
        return float(constants_of(random_maps(4, n), Normalisation.PIXEL).map_inv_std.std())

    raw = float((1 / random_maps(4, 8)[:, 0].std(axis=0, ddof=1)).std())
    assert unevenness(8) < raw / 3
    assert unevenness(200) < unevenness(8)


def test_a_spread_that_differs_by_place_survives_the_prior() -> None:
    maps = random_maps(5, 100)
    maps[..., :8] *= 10
    inv_std = constants_of(maps, Normalisation.PIXEL).map_inv_std
    assert inv_std[..., 8:].mean() > 3 * inv_std[..., :8].mean()


def test_a_place_that_hardly_varies_gets_a_tenth_of_the_usual_spread() -> None:
    variance = np.ones((4, 4))
    variance[0, 0], variance[1, 1] = 1e-9, 0.25
    spread = floored_spread(variance)
    assert spread[0, 0] == pytest.approx(0.1 * np.sqrt(variance.mean()))
    assert spread[1, 1] == 0.5


@pytest.mark.parametrize("how", [Normalisation.BLOCK, Normalisation.PIXEL])
def test_maps_that_are_constant_everywhere_divide_by_no_zero(how: Normalisation) -> None:
    constants = constants_of(np.full((5, 1, 1, 2, SIZE, SIZE), 0.25, np.float32), how)
    assert np.isfinite(constants.map_inv_std).all()


def test_joined_sums_are_the_sums_of_all_images() -> None:
    maps = random_maps(7, 9, n_tiles=2)
    parts = [sums_of(maps[:4], n_tiles=2), sums_of(maps[4:], n_tiles=2)]
    joined, expected = MapSums.joined(parts), sums_of(maps, n_tiles=2)
    assert np.array_equal(joined.count, expected.count)
    assert joined.total == pytest.approx(expected.total, rel=1e-9)
    assert joined.squares == pytest.approx(expected.squares, rel=1e-9)
