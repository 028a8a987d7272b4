from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.bundle import read_bundle
from edgeinspect.config import Measure, PreprocessConfig, ResizeRule, ScoringConfig, Statistic
from edgeinspect.constants import Calibration
from edgeinspect.data.tiling import TileGrid, plan_tiles
from edgeinspect.runtime.regions import MAX_REGIONS, MapLevels, find_regions
from edgeinspect.runtime.session import Scores
from tests.bundles import make_bundle

SIZE = 64
YES = np.array([True])


def square_grid(height: int = SIZE, width: int = SIZE) -> TileGrid:
    return plan_tiles((height, width), PreprocessConfig(size=SIZE, resize=ResizeRule.SQUASH))


def levels(value: float, n: int = 1) -> np.ndarray:
    return np.full(n, value, np.float32)


@given(
    x=st.integers(0, 50), y=st.integers(0, 50), width=st.integers(1, 14), height=st.integers(1, 14)
)
def test_a_rectangle_above_the_level_is_one_region_in_its_place(x, y, width, height):
    maps = np.zeros((1, SIZE, SIZE), np.float32)
    maps[0, y : y + height, x : x + width] = 5
    maps[0, y, x] = 9
    (region,) = find_regions(maps, levels(4), YES, square_grid())
    assert region.box == (x, y, width, height)
    assert region.area_px == width * height
    assert region.peak == 9


def test_boxes_and_areas_are_in_pixels_of_the_picture():
    maps = np.zeros((1, SIZE, SIZE), np.float32)
    maps[0, 8:16, 4:8] = 5
    (region,) = find_regions(maps, levels(4), YES, square_grid(height=128, width=640))
    assert region.box == (40, 16, 40, 16)
    assert region.area_px == 640


def test_regions_come_strongest_first_and_the_list_is_bounded():
    maps = np.zeros((1, SIZE, SIZE), np.float32)
    spots = np.arange(1, 65, dtype=np.float32)
    maps[0, ::8, ::8] = spots.reshape(8, 8)
    peaks = [r.peak for r in find_regions(maps, levels(0.5), YES, square_grid())]
    assert peaks == sorted(spots, reverse=True)[:MAX_REGIONS]


def test_a_small_gap_does_not_cut_a_scratch_in_two():
    maps = np.zeros((1, SIZE, SIZE), np.float32)
    maps[0, 30:33, 10:50] = 5
    maps[0, 30:33, 28:31] = 0
    assert len(find_regions(maps, levels(4), YES, square_grid())) == 1


def test_a_region_reaches_down_to_a_share_of_the_level_but_must_reach_it_somewhere():
    maps = np.zeros((1, SIZE, SIZE), np.float32)
    maps[0, 10, 5:30] = 3
    maps[0, 10, 20] = 5
    maps[0, 50, 5:30] = 3
    (region,) = find_regions(maps, levels(4), YES, square_grid())
    assert region.box == (5, 10, 25, 1)


def test_a_region_that_stands_far_out_is_what_is_near_its_peak():
    maps = np.zeros((1, SIZE, SIZE), np.float32)
    maps[0, 5:40, 5:40] = 6  # the surroundings that a feature sees
    maps[0, 15:25, 15:25] = 30
    maps[0, 20, 20] = 100
    maps[0, 50, 50:60] = 5
    strong, faint = find_regions(maps, levels(4), YES, square_grid())
    assert (strong.box, strong.area_px, strong.peak) == ((15, 15, 10, 10), 100, 100)
    assert faint.box == (50, 50, 10, 1)


def test_a_region_of_a_map_below_zero_is_kept_whole():
    maps = np.full((1, SIZE, SIZE), -9, np.float32)
    maps[0, 5:15, 5:15] = -2
    (region,) = find_regions(maps, levels(-3), YES, square_grid())
    assert region.area_px == 100


def test_tiles_that_are_ok_by_themselves_add_no_region():
    preprocess = PreprocessConfig(size=SIZE, resize=ResizeRule.TILE, overlap_px=16)
    grid = plan_tiles((SIZE, 112), preprocess)
    maps = np.zeros((2, SIZE, SIZE), np.float32)
    maps[0, 5, 5], maps[1, 50, 60] = 8, 9
    (region,) = find_regions(maps, levels(4, 2), np.array([False, True]), grid)
    assert region.box == (108, 50, 1, 1)


def test_a_defect_in_the_overlap_of_two_tiles_is_one_region():
    preprocess = PreprocessConfig(size=SIZE, resize=ResizeRule.TILE, overlap_px=16)
    grid = plan_tiles((SIZE, 112), preprocess)
    assert grid.lefts == (0, 48)
    maps = np.zeros((2, SIZE, SIZE), np.float32)
    maps[0, 20:24, 50:60] = 6
    maps[1, 20:24, 2:12] = 7
    (region,) = find_regions(maps, levels(4, 2), np.array([True, True]), grid)
    assert region.box == (50, 20, 10, 4)
    assert region.peak == 7


def test_an_ng_tile_always_has_a_region():
    maps = np.random.default_rng(0).random((1, SIZE, SIZE), np.float32)
    (region,) = find_regions(maps, levels(100), YES, square_grid())
    assert region.peak == maps.max()


def test_an_ok_part_has_none():
    maps = np.full((1, SIZE, SIZE), 9, np.float32)
    assert find_regions(maps, levels(4), ~YES, square_grid()) == ()


def calibrated(tmp_path: Path) -> tuple[Calibration, ScoringConfig]:
    """Threshold 5; z of means is ten times the mean, of all other statistics they themselves."""
    bundle = read_bundle(make_bundle(tmp_path))
    scoring, calibration = bundle.config.scoring, bundle.require_calibration()
    is_mean = np.arange(len(calibration.constants.stat_mean)) % len(scoring.statistics) == 0
    assert scoring.statistics[0] is Statistic.MEAN
    constants = dataclasses.replace(
        calibration.constants,
        stat_mean=np.zeros(len(is_mean), np.float32),
        stat_inv_std=np.where(is_mean, 10.0, 1.0).astype(np.float32),
        stat_weight=np.ones(len(is_mean), np.float32),
    )
    threshold = dataclasses.replace(calibration.threshold, value=5.0, interval=(4.0, 6.0))
    return dataclasses.replace(calibration, constants=constants, threshold=threshold), scoring


def scored(value: float, maps: np.ndarray, statistics: np.ndarray) -> Scores:
    score = np.array([value], np.float32)
    return Scores(
        score=score,
        local_score=score,
        global_score=score,
        scale=np.zeros(1, np.int32),
        anomaly_map=maps,
        statistics=statistics,
    )


def test_no_pixel_of_a_part_that_is_ok_by_its_mean_speaks_for_ng(tmp_path):
    calibration, scoring = calibrated(tmp_path)
    maps = np.zeros((1, SIZE, SIZE), np.float32)
    maps[0, ::2] = 0.8  # above 0.5, where the mean would speak for NG
    statistics = np.zeros((1, len(calibration.constants.stat_mean)), np.float32)
    statistics[0, 0] = maps.mean()
    assert MapLevels(calibration, scoring).of(scored(4.0, maps, statistics)) == 5.0


def test_a_part_that_is_ng_as_a_whole_is_told_so_and_shows_no_place_beyond_the_level(tmp_path):
    calibration, scoring = calibrated(tmp_path)
    scoring = dataclasses.replace(scoring, measures=(*scoring.measures[:-1], Measure.WHOLE))
    maps = np.full((1, SIZE, SIZE), 2.0, np.float32)
    statistics = np.zeros((1, len(calibration.constants.stat_mean)), np.float32)
    statistics[0, -1], statistics[0, 2] = 9.0, 2.0
    levels, scores = MapLevels(calibration, scoring), scored(9.0, maps, statistics)
    assert scoring.measures[int(levels.measures(scores)[0])] is Measure.WHOLE
    assert levels.of(scores) == 5.0
