"""Where a part's map is highest: what people look at when a verdict was wrong.

While the map is at hand, of every part; the card shows it for the failures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import Measure
from edgeinspect.data.tiling import TileGrid
from edgeinspect.runtime.regions import Region, peak_region

__all__ = ["MapPeak", "find_map_peak"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPeak:
    """The region around a map's maximum, and which error measure the map shows.

    `distance_px` runs from the maximum to the nearest pixel of the defect's mask, in px of the
    picture; 0 on the defect, None where no mask was drawn.
    """

    region: Region
    measure: Measure
    distance_px: float | None


def find_map_peak(
    anomaly_map: NDArray[np.float32],
    measure: Measure,
    grid: TileGrid,
    mask: NDArray[np.bool_] | None,
) -> MapPeak:
    """The peak of a map (h, w); `mask` (h, w) is None, or all false, where there is none."""
    distance_px = None
    if mask is not None and mask.any():
        peak = np.unravel_index(anomaly_map.argmax(), anomaly_map.shape)
        picture_px = np.divide(grid.picture_hw, grid.resized_hw)  # in one of the map: y, x
        offsets_px = (np.argwhere(mask) - peak) * picture_px
        distance_px = float(np.linalg.norm(offsets_px, axis=1).min())
    return MapPeak(region=peak_region(anomaly_map, grid), measure=measure, distance_px=distance_px)
