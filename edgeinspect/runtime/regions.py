"""Where an NG part is wrong: connected regions of its anomaly map, in picture pixels.

The map's level is taken from the verdict itself. Under the `peak` rule a tile is NG because the
z of one statistic lies above the threshold. Brought back from z to the map, the threshold of the
winning map's `max` is the level at which one pixel alone rejects. A faint, broad defect may be
NG by the mean of its largest pixels without one such pixel: then the level is that of the
statistic that won, which the map's maximum reaches unless the part is NG as a whole (measure
`whole`). The other rules do not point at pixels: there the level is half of the map's maximum.

A region is what is connected above a share of that level and reaches it somewhere, so that a
scratch is one region from end to end. A feature sees its surroundings, so a strong defect lifts
the map far around it: of a region that stands far out, what lies below a share of its own peak is
taken off. Tiles that are OK by themselves add none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import Rule, ScoringConfig, Statistic
from edgeinspect.constants import Calibration
from edgeinspect.data.tiling import TileGrid, stitch_tiles
from edgeinspect.runtime.session import Scores

__all__ = ["MAX_REGIONS", "MapLevels", "Region", "find_regions", "peak_region"]

MAX_REGIONS = 50  # the strongest; a part that is wrong all over needs no longer list
SHARE_OF_MAXIMUM = 0.5  # for rules that do not point at pixels
SHARE_OF_LEVEL = 0.6  # how far down a region reaches around the pixels above the level
SHARE_OF_PEAK = 0.25  # and from which share of its own peak
BRIDGE_PX = 4  # gaps up to here (resized px) do not part a region: a scratch stays one

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A connected part of the map above its level.

    Attributes:
        box: (x, y, width, height) in px of the picture.
        area_px: its area in px of the picture.
        peak: the map's largest value in it, in z units.
    """

    box: tuple[int, int, int, int]
    area_px: int
    peak: float


class MapLevels:
    """The level of each tile's map from which it speaks for NG."""

    def __init__(self, calibration: Calibration, scoring: ScoringConfig) -> None:
        self._calibration = calibration
        self._statistics = scoring.statistics
        n_scales = calibration.constants.map_mean.shape[2]
        self._n_of_measure = n_scales * len(scoring.statistics)
        self._n_shown = scoring.n_placed * self._n_of_measure

    def of(self, scores: Scores) -> Floats:
        """Levels (B,) in units of `scores.anomaly_map`; no pixel of an OK tile need reach it."""
        maxima = scores.anomaly_map.max(axis=(1, 2))
        if self._calibration.rule is not Rule.PEAK:
            return np.asarray(np.where(maxima > 0, SHARE_OF_MAXIMUM * maxima, maxima), np.float32)
        with np.errstate(all="ignore"):  # scores that are not finite are no error here
            return self._of_peak(scores)

    def measures(self, scores: Scores) -> NDArray[np.int64]:
        """Which error measure (B,) stands out most: that of the peak, the first under `paper`."""
        if self._calibration.rule is Rule.PAPER:
            return np.zeros(len(scores.score), np.int64)
        with np.errstate(all="ignore"):
            peaks = self._calibration.constants.peaks(scores.statistics)
        return np.asarray(peaks.argmax(axis=1) // self._n_of_measure)

    def _of_peak(self, scores: Scores) -> Floats:
        constants = self._calibration.constants
        winner = constants.peaks(scores.statistics)[:, : self._n_shown].argmax(axis=1)
        weight = np.abs(constants.stat_weight[winner])
        level = self._level(winner, weight)
        if Statistic.MAX not in self._statistics:
            return level
        n = len(self._statistics)
        largest = winner // n * n + self._statistics.index(Statistic.MAX)
        level_of_one_pixel = self._level(largest, weight)
        is_reached = level_of_one_pixel <= scores.anomaly_map.max(axis=(1, 2))
        # The level of a mean is one that many pixels of a part that is OK exceed, or of one that is
        # NG because its mean is too low.
        is_ok = scores.score <= self._calibration.threshold.value
        is_low = scores.statistics[np.arange(len(winner)), winner] < constants.stat_mean[winner]
        no_place = (is_ok | is_low) & np.isfinite(level_of_one_pixel)
        return np.where(is_reached | no_place, level_of_one_pixel, level)

    def _level(self, statistic: NDArray[np.int64], weight: Floats) -> Floats:
        """What each statistic (B,) of a map must exceed for the threshold to be exceeded."""
        constants = self._calibration.constants
        gain = weight * constants.stat_inv_std[statistic]
        level = constants.stat_mean[statistic] + self._calibration.threshold.value / gain
        return np.asarray(level, np.float32)


def find_regions(
    maps: Floats, levels: Floats, is_ng: NDArray[np.bool_], grid: TileGrid
) -> tuple[Region, ...]:
    """Regions of a part, strongest first, at most `MAX_REGIONS`.

    Args:
        maps: (n, size, size) of the part's tiles; levels: (n,); is_ng: (n,), which tiles count.
    """
    if not is_ng.any():
        return ()
    import cv2

    high = np.minimum(levels, maps.max(axis=(1, 2)))
    low = np.where(high > 0, SHARE_OF_LEVEL * high, high)
    reached = stitch_tiles(_above(maps, high, is_ng), grid)
    mask = stitch_tiles(_above(maps, low, is_ng), grid)
    stitched = stitch_tiles(maps, grid)
    kernel = np.ones((BRIDGE_PX + 1, BRIDGE_PX + 1), np.uint8)
    wide = cv2.dilate(mask.astype(np.uint8), kernel)
    _, components, boxes, _ = cv2.connectedComponentsWithStats(wide, connectivity=8)
    labels = np.where(mask, components, 0)
    places = {int(label): _slices(boxes[label]) for label in np.unique(labels[reached])}
    regions = [
        _region(stitched, _strong(stitched[place], labels[place] == label), place, grid)
        for label, place in places.items()
    ]
    return tuple(sorted(regions, key=lambda region: -region.peak)[:MAX_REGIONS])


def peak_region(stitched: Floats, grid: TileGrid) -> Region:
    """Where a part's map (h, w) is highest, whatever the verdict: down to half of its maximum."""
    import cv2

    top = float(stitched.max())
    is_in = stitched >= (SHARE_OF_MAXIMUM * top if top > 0 else top)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(is_in.astype(np.uint8), connectivity=8)
    label = int(labels.flat[int(stitched.argmax())])
    place = _slices(boxes[label])
    return _region(stitched, labels[place] == label, place, grid)


def _above(maps: Floats, levels: Floats, is_ng: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels (n, size, size) of the tiles that count, from each tile's level on."""
    return np.asarray((maps >= levels[:, None, None]) & is_ng[:, None, None])


def _strong(values: Floats, is_in: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those pixels of a region that are not far below its peak; all of one that is not positive."""
    peak = values[is_in].max()
    return is_in & (values >= SHARE_OF_PEAK * peak) if peak > 0 else is_in


def _slices(box: NDArray[Any]) -> tuple[slice, slice]:
    x, y, width, height = (int(v) for v in box[:4])
    return np.s_[y : y + height, x : x + width]


def _region(
    stitched: Floats, is_in: NDArray[np.bool_], place: tuple[slice, slice], grid: TileGrid
) -> Region:
    """The pixels of `place` in the resized picture that `is_in` marks, in px of the picture."""
    rows, columns = np.nonzero(is_in)
    top, bottom = place[0].start + rows.min(), place[0].start + rows.max() + 1
    left, right = place[1].start + columns.min(), place[1].start + columns.max() + 1
    (picture_h, picture_w), (resized_h, resized_w) = grid.picture_hw, grid.resized_hw
    x, x_end = left * picture_w // resized_w, -(-right * picture_w // resized_w)
    y, y_end = top * picture_h // resized_h, -(-bottom * picture_h // resized_h)
    ratio = picture_h * picture_w / (resized_h * resized_w)
    return Region(
        box=(int(x), int(y), int(x_end - x), int(y_end - y)),
        area_px=max(1, round(rows.size * ratio)),
        peak=float(stitched[place][is_in].max()),
    )
