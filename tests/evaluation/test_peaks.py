"""The peak of a map: its region in pixels of the picture, and how far from the defect it is."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.config import Measure, PreprocessConfig
from edgeinspect.data.tiling import plan_tiles
from edgeinspect.evaluation.peaks import find_map_peak

SIZE = 64
GRID = plan_tiles((2 * SIZE, 2 * SIZE), PreprocessConfig(size=SIZE))  # half the picture's size


def spot(top: int, left: int, value: float = 4.0) -> np.ndarray:
    """A map with a square of 4 px; around it a brim that is not half as high."""
    anomaly_map = np.zeros((SIZE, SIZE), np.float32)
    anomaly_map[top - 1 : top + 5, left - 1 : left + 5] = 0.4 * value
    anomaly_map[top : top + 4, left : left + 4] = value
    return anomaly_map


def test_the_region_is_what_is_above_half_of_the_maximum_in_px_of_the_picture() -> None:
    peak = find_map_peak(spot(10, 20), Measure.SSIM, GRID, None)
    assert peak.region.box == (40, 20, 8, 8)
    assert peak.region.area_px == 64
    assert (peak.region.peak, peak.measure) == (4.0, Measure.SSIM)


def test_a_second_spot_is_not_joined() -> None:
    peak = find_map_peak(np.maximum(spot(10, 20), spot(40, 40, 3.0)), Measure.L1, GRID, None)
    assert peak.region.box == (40, 20, 8, 8)


def test_a_map_below_zero_has_its_maximum_as_region() -> None:
    anomaly_map = np.full((SIZE, SIZE), -2.0, np.float32)
    anomaly_map[5, 7] = -1
    assert find_map_peak(anomaly_map, Measure.L1, GRID, None).region.box == (14, 10, 2, 2)


@pytest.mark.parametrize(("left", "distance_px"), [(20, 0), (21, 2), (50, 60)])
def test_the_distance_to_the_defect_is_in_px_of_the_picture(left: int, distance_px: float) -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[:, left:] = True
    anomaly_map = np.zeros((SIZE, SIZE), np.float32)
    anomaly_map[30, 20] = 1
    found = find_map_peak(anomaly_map, Measure.L1, GRID, mask)
    assert found.distance_px == pytest.approx(distance_px)


def test_the_distance_is_that_of_a_picture_which_was_squashed() -> None:
    grid = plan_tiles((SIZE, 4 * SIZE), PreprocessConfig(size=SIZE))
    mask = np.zeros((SIZE, SIZE), bool)
    mask[30, 40] = True
    anomaly_map = np.zeros((SIZE, SIZE), np.float32)
    anomaly_map[30, 20] = 1
    assert find_map_peak(anomaly_map, Measure.L1, grid, mask).distance_px == 80


def test_a_good_part_has_no_defect_to_be_far_from() -> None:
    nothing = np.zeros((SIZE, SIZE), bool)
    assert find_map_peak(spot(10, 20), Measure.L1, GRID, nothing).distance_px is None
