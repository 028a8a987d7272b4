"""Error maps of good parts to the mean and spread that maps are normalised with.

The error depends on where a pixel lies in its mask block (far from visible pixels it is large)
and, on aligned parts, on the part's own structure. `none` leaves maps as they are (the paper),
`block` divides by position in the mask block, `pixel` by position in the tile (docs/method.md).

Sums are kept per tile position in float64 and can be added, so leaving folds out costs no second
pass over all maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import GeneratorConfig, Normalisation

__all__ = ["MapConstants", "MapSums", "block_sides_px", "floored_spread", "map_constants"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

# Spreads below this share of the map's typical spread (root mean square over the positions)
# are raised to it: where good parts never differ, such as a black background, one speck of
# dust would otherwise outweigh every defect.
SPREAD_FLOOR_SHARE = 0.1
SPREAD_FLOOR = 1e-6  # of maps that are constant everywhere; far below one grey level
# A pixel's spread is estimated as if this many more pictures had shown the spread that is
# usual at its place in the mask block: with tens of pictures the raw estimate is too rough,
# and the largest of 65536 normalised pixels finds the spread that came out smallest.
PRIOR_PICTURES = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapConstants:
    """Mean and inverse spread of error maps, (T, K, I, H, W) each, float32."""

    map_mean: Floats
    map_inv_std: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapSums:
    """Sums over good images: `count` (T,), `total` and `squares` (T, K, I, H, W), float64.

    `shape` of `empty` is (T, K, I, H, W); T is 1 where tile positions are not told apart.
    """

    count: Doubles
    total: Doubles
    squares: Doubles

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> MapSums:
        return cls(count=np.zeros(shape[0]), total=np.zeros(shape), squares=np.zeros(shape))

    def add(self, maps: Floats, tile: NDArray[np.int32]) -> None:
        """Add maps (n, K, I, H, W) at their tile positions (n,), in place."""
        places = np.zeros_like(tile) if len(self.count) == 1 else tile
        for error_map, t in zip(maps, places, strict=True):
            exact = error_map.astype(np.float64)
            self.count[t] += 1
            self.total[t] += exact
            self.squares[t] += exact * exact

    @classmethod
    def joined(cls, parts: Sequence[MapSums]) -> MapSums:
        """The sums over the images of several."""
        joined = cls.empty(parts[0].total.shape)
        for part in parts:
            np.add(joined.count, part.count, out=joined.count)
            np.add(joined.total, part.total, out=joined.total)
            np.add(joined.squares, part.squares, out=joined.squares)
        return joined


def block_sides_px(generator: GeneratorConfig) -> tuple[int, ...]:
    """Side of a mask block of each scale, in pixels."""
    return tuple(blocks * generator.patch for blocks in generator.mask_scales)


def map_constants(sums: MapSums, how: Normalisation, block_sides: tuple[int, ...]) -> MapConstants:
    """The constants that good images give.

    Args:
        sums: over the good images; for `pixel` with T tile positions.
        block_sides: px of each of the I mask scales.
    Returns: T = 1 for `none` and `block`, the sums' T for `pixel`.
    """
    if how is Normalisation.NONE:
        shape = (1, *sums.total.shape[1:])
        return MapConstants(
            map_mean=np.zeros(shape, np.float32), map_inv_std=np.ones(shape, np.float32)
        )
    mean, variance = (
        _by_block(sums, block_sides) if how is Normalisation.BLOCK else _by_pixel(sums, block_sides)
    )
    return MapConstants(
        map_mean=mean.astype(np.float32),
        map_inv_std=(1 / floored_spread(variance)).astype(np.float32),
    )


def _by_block(sums: MapSums, block_sides: tuple[int, ...]) -> tuple[Doubles, Doubles]:
    """Mean and variance by position in the mask block, pooled over tile positions, T = 1.

    Both halves of the checkerboard share one pattern: a block is removed in one of two passes
    and sees visible pixels all around either way.
    """
    count = sums.count.sum()
    mean = _block_average(sums.total.sum(axis=0, keepdims=True) / count, block_sides)
    square = _block_average(sums.squares.sum(axis=0, keepdims=True) / count, block_sides)
    return mean, square - mean * mean


def _by_pixel(sums: MapSums, block_sides: tuple[int, ...]) -> tuple[Doubles, Doubles]:
    """Mean and variance by pixel, the variance drawn towards that of its place in the block."""
    count = sums.count[:, None, None, None, None]
    mean = sums.total / count
    variance = np.maximum(sums.squares / count - mean * mean, 0) * count / np.maximum(count - 1, 1)
    usual = _block_average(variance, block_sides)
    return mean, (count * variance + PRIOR_PICTURES * usual) / (count + PRIOR_PICTURES)


def _block_average(maps: Doubles, block_sides: tuple[int, ...]) -> Doubles:
    """Maps (T, K, I, H, W) averaged over the blocks of each scale, repeated to full size."""
    averaged = np.empty_like(maps)
    height, width = maps.shape[-2:]
    for i, side in enumerate(block_sides):
        down, across = height // side, width // side
        blocks = maps[:, :, i].reshape(*maps.shape[:2], down, side, across, side)
        averaged[:, :, i] = np.tile(blocks.mean(axis=(2, 4)), (1, 1, down, across))
    return averaged


def floored_spread(variance: Doubles) -> Doubles:
    """Standard deviation (..., H, W), never 0: see SPREAD_FLOOR_SHARE and SPREAD_FLOOR."""
    variance = np.maximum(variance, 0)
    usual = np.sqrt(variance.mean(axis=(-2, -1), keepdims=True))
    floor = np.maximum(SPREAD_FLOOR_SHARE * usual, SPREAD_FLOOR)
    return np.asarray(np.maximum(np.sqrt(variance), floor))
