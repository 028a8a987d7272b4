"""Error maps to statistics: normalise, blur, and reduce every map to a few numbers.

The scoring equations in NumPy, written apart from the torch module that is exported, so that
each checks the other. Between `normalisation` (which makes the constants) and `rules`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeinspect.calibration.normalisation import MapConstants
from edgeinspect.config import TOP_K_LIMIT, ScoringConfig, Statistic
from edgeinspect.constants import RuleConstants

__all__ = ["blur", "normalise", "statistics", "top_count"]

Floats = NDArray[np.float32]

_SHARES = Statistic.top_shares()


def normalise(
    maps: Floats, constants: MapConstants | RuleConstants, tile: NDArray[np.int32]
) -> Floats:
    """Error maps in spreads of good parts.

    Args:
        maps: (n, K, I, H, W), un-normalised.
        constants: maps of T tile positions, (T, K, I, H, W).
        tile: (n,), the tile position of each image, 0 to T - 1.
    Returns: (n, K, I, H, W).
    """
    if constants.map_mean.shape[0] == 1:  # one map for all: broadcast instead of a copy each
        return (maps - constants.map_mean) * constants.map_inv_std
    return (maps - constants.map_mean[tile]) * constants.map_inv_std[tile]


def blur(maps: Floats, px: int) -> Floats:
    """Mean over a square of `px` (odd) pixels a side, edges repeated; 1 changes nothing.

    Args: maps (..., H, W).
    """
    if px == 1:
        return maps
    for axis in (maps.ndim - 2, maps.ndim - 1):
        maps = _running_mean(maps, px, axis)
    return maps


def _running_mean(maps: Floats, px: int, axis: int) -> Floats:
    padding = [(0, 0)] * maps.ndim
    padding[axis] = (px // 2, px // 2)
    padded = np.moveaxis(np.pad(maps, padding, mode="edge"), axis, -1)
    length = maps.shape[axis]
    total = np.zeros_like(padded[..., :length])
    for shift in range(px):  # a sum of few terms: no cancellation, unlike running sums
        total += padded[..., shift : shift + length]
    return np.moveaxis(total / np.float32(px), -1, axis)


def statistics(normalised: Floats, config: ScoringConfig) -> Floats:
    """Statistics (n, S) of normalised, blurred maps (n, K, I, H, W).

    Ordered measure by measure, then scale, then statistic as in `config.statistics`. A map with
    a pixel that is not a number gives statistics that are none.
    """
    n, n_measures, n_scales, height, width = normalised.shape
    flat = normalised.reshape(n, n_measures, n_scales, height * width)
    by_name = _reduce(flat, config.statistics)
    return np.stack([by_name[name] for name in config.statistics], axis=-1).reshape(n, -1)


def _reduce(flat: Floats, names: tuple[Statistic, ...]) -> dict[Statistic, Floats]:
    """Each statistic over the last axis; one partial sort serves both top shares."""
    n_pixels = flat.shape[-1]
    counts = {name: top_count(share, n_pixels) for name, share in _SHARES.items() if name in names}
    n_top = max(counts.values(), default=1)
    top = np.sort(_largest(flat, n_top), axis=-1)[..., ::-1]  # NaN comes first
    reduced = {name: top[..., :count].mean(axis=-1) for name, count in counts.items()}
    reduced[Statistic.MEAN] = flat.mean(axis=-1)
    reduced[Statistic.MAX] = flat.max(axis=-1)
    return reduced


def _largest(flat: Floats, count: int) -> Floats:
    """The `count` largest of the last axis, in any order; NaN counts as largest."""
    return np.partition(flat, flat.shape[-1] - count, axis=-1)[..., -count:]


def top_count(share: float, n_pixels: int) -> int:
    """How many pixels the mean of the largest `share` takes: 1 to 3839."""
    return min(max(1, round(share * n_pixels)), TOP_K_LIMIT)
