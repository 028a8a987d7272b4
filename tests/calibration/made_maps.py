"""Error maps of pretended good pictures, for tests that need no graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeinspect.calibration.good_maps import GoodMaps, GoodPicture, MapCache
from edgeinspect.config import Measure, ScoringConfig
from edgeinspect.data.appearance import Appearance
from edgeinspect.data.tiling import TileGrid

SIZE = 32
SIDES = (4, 8)  # px of a mask block of each of the two scales
SCORING = ScoringConfig(measures=(Measure.L1, Measure.MSGMS))
N_SCALES = 2


def random_maps(seed: int, n: int, n_tiles: int = 1) -> NDArray[np.float32]:
    """(n, tiles, K, I, H, W), all positions alike."""
    shape = (n, n_tiles, len(SCORING.measures), N_SCALES, SIZE, SIZE)
    return np.random.default_rng(seed).gamma(4, 0.01, shape).astype(np.float32)


def grid(n_tiles: int) -> TileGrid:
    lefts = tuple(SIZE * t for t in range(n_tiles))
    hw = (SIZE, SIZE * n_tiles)
    return TileGrid(picture_hw=hw, resized_hw=hw, size=SIZE, tops=(0,), lefts=lefts)


def good_maps(maps: NDArray[np.float32], cache: MapCache) -> GoodMaps:
    """Pictures with maps (n, tiles, K, I, H, W)."""
    pictures = []
    for i, of_picture in enumerate(maps):
        one = GoodPicture(
            path=Path(f"{i}.png"),
            grid=grid(maps.shape[1]),
            first=len(cache),
            appearance=Appearance(mean=120, spread=4, gradient=4),
        )
        pictures.append(one)
        cache.append(of_picture)
    return GoodMaps(pictures=tuple(pictures), cache=cache)
