"""From a picture of any shape to images of the model's size, and maps back.

Second step of the flow. A grid is planned from the picture's shape alone, so training,
calibration, evaluation and the line cut alike. Tiles of a grid are ordered row by row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import MAX_ENLARGEMENT, PreprocessConfig, ResizeRule
from edgeinspect.errors import ImageError
from edgeinspect.numbers import width_by_height

__all__ = [
    "TileGrid",
    "choose_resize",
    "cut_tiles",
    "picture_from_tiles",
    "plan_tiles",
    "resize_picture",
    "stitch_tiles",
]

MAX_TILES = 4096
SHORTFALL = 0.05  # a side this much below the model's is stretched rather than refused
SQUARE_ASPECT = 1.1  # squashing up to here moves lengths by less than rotations and lenses do

MapT = TypeVar("MapT", np.float32, np.float64, np.uint8, np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """How a picture of `picture_hw` px is resized to `resized_hw` px and cut into squares.

    `tops` and `lefts` are px of the resized picture; every pair of them is a tile.
    """

    picture_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    size: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @property
    def n_tiles(self) -> int:
        """Images that a picture of this shape is cut into."""
        return len(self.tops) * len(self.lefts)

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """(top, left) of each tile, in the order of the tiles."""
        return tuple((top, left) for top in self.tops for left in self.lefts)


def plan_tiles(picture_hw: tuple[int, int], preprocess: PreprocessConfig) -> TileGrid:
    """The grid for a picture of (height, width) px.

    Per axis of L resized px there are ceil((L - overlap) / (size - overlap)) tiles, evenly
    spaced, the first at 0 and the last flush, so neighbours share at least `overlap_px`.
    Raises: ImageError if the picture is too small to be enlarged, smaller than the model at the
        scale that is set, or so large that it would need more than 4096 tiles.
    """
    size = preprocess.size
    resized_hw = _resized(picture_hw, preprocess)
    tops, lefts = (_starts(length, size, preprocess.overlap_px) for length in resized_hw)
    grid = TileGrid(picture_hw=picture_hw, resized_hw=resized_hw, size=size, tops=tops, lefts=lefts)
    if grid.n_tiles > MAX_TILES:
        raise ImageError(
            f"a picture of {width_by_height(picture_hw)} px would be cut into {grid.n_tiles} tiles;"
            f" {MAX_TILES} is the most"
        )
    return grid


def cut_tiles(picture: NDArray[np.uint8], grid: TileGrid) -> NDArray[np.uint8]:
    """Resize a picture (H, W, 3) or (H, W) and cut it: (n, size, size, 3)."""
    resized = resize_picture(picture, grid)
    size = grid.size
    return np.stack([resized[top : top + size, left : left + size] for top, left in grid.corners])


def resize_picture(picture: NDArray[np.uint8], grid: TileGrid) -> NDArray[np.uint8]:
    """A picture (H, W, 3) or (H, W) at the size that is cut: (resized_h, resized_w, 3)."""
    assert picture.shape[:2] == grid.picture_hw, (picture.shape, grid.picture_hw)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    if grid.resized_hw == grid.picture_hw:
        return picture
    height, width = grid.resized_hw
    smaller = (min(width, picture.shape[1]), min(height, picture.shape[0]))
    # A side that shrinks takes the mean of all its pixels, also where the other is enlarged.
    shrunk = cv2.resize(np.ascontiguousarray(picture), smaller, interpolation=cv2.INTER_AREA)
    resized = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.uint8, copy=False)


def stitch_tiles(maps: NDArray[MapT], grid: TileGrid) -> NDArray[MapT]:
    """Maps of the tiles (n, size, size) as one map (resized_h, resized_w), by maximum."""
    assert maps.shape == (grid.n_tiles, grid.size, grid.size), (maps.shape, grid)
    stitched = np.empty(grid.resized_hw, maps.dtype)
    is_seen = np.zeros(grid.resized_hw, bool)
    for tile, (top, left) in zip(maps, grid.corners, strict=True):
        place = np.s_[top : top + grid.size, left : left + grid.size]
        stitched[place] = np.where(is_seen[place], np.maximum(stitched[place], tile), tile)
        is_seen[place] = True
    return stitched


def picture_from_tiles(tiles: NDArray[MapT], grid: TileGrid) -> NDArray[MapT]:
    """Images of the tiles (n, size, size, 3) as one (resized_h, resized_w, 3), by mean.

    For looking at reconstructions; the dtype is kept, uint8 is rounded.
    """
    assert tiles.shape == (grid.n_tiles, grid.size, grid.size, 3), (tiles.shape, grid)
    total = np.zeros((*grid.resized_hw, 3), np.float64)
    n_seen = np.zeros((*grid.resized_hw, 1), np.float64)
    for tile, (top, left) in zip(tiles, grid.corners, strict=True):
        place = np.s_[top : top + grid.size, left : left + grid.size]
        total[place] += tile
        n_seen[place] += 1
    mean = total / n_seen
    return (np.rint(mean) if tiles.dtype == np.uint8 else mean).astype(tiles.dtype)


def choose_resize(shapes: Iterable[tuple[int, ...]]) -> ResizeRule:
    """TILE if any picture's shape (height, width, ...) has an aspect above 1.1, else SQUASH."""
    is_long = any(max(s[:2]) > SQUARE_ASPECT * min(s[:2]) for s in shapes)
    return ResizeRule.TILE if is_long else ResizeRule.SQUASH


def _resized(picture_hw: tuple[int, int], preprocess: PreprocessConfig) -> tuple[int, int]:
    """(height, width) that a picture is resized to, both at least the model's size."""
    size, short = preprocess.size, min(picture_hw)
    if short * MAX_ENLARGEMENT < size:
        raise ImageError(
            f"a picture of {width_by_height(picture_hw)} px is too small for a model of {size} px",
            hint=f"the short side must have at least {math.ceil(size / MAX_ENLARGEMENT)} px, or the"
            f" model at most {short * MAX_ENLARGEMENT:.0f} (--preset tiny has 256)",
        )
    if preprocess.resize is ResizeRule.SQUASH:
        return size, size
    scale = size / short if preprocess.scale is None else preprocess.scale
    if short * scale < (1 - SHORTFALL) * size:
        raise ImageError(
            f"a picture of {width_by_height(picture_hw)} px is smaller than a model of {size} px"
            f" at scale {scale:g}",
            hint=f"the short side must have at least {math.ceil(size / scale)} px",
        )
    height, width = (max(size, round(length * scale)) for length in picture_hw)
    return height, width


def _starts(length: int, size: int, overlap_px: int) -> tuple[int, ...]:
    """First px of each tile along an axis; whole-number spacing never exceeds size - overlap."""
    n_tiles = max(1, math.ceil((length - overlap_px) / (size - overlap_px)))
    if n_tiles == 1:
        return (0,)
    return tuple(i * (length - size) // (n_tiles - 1) for i in range(n_tiles))
