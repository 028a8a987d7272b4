"""Error maps to statistics: normalise, blur, and reduce every map to a few numbers.

The scoring equations in NumPy, written apart from the torch module that is exported, so that
each checks the other. Between `normalisation` (which makes the constants) and `rules`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeinspect.calibration.normalisation import MapConstants
from edgeinspect.config import ScoringConfig
from edgeinspect.constants import RuleConstants

__all__ = ["blur", "normalise", "statistics"]

Floats = NDArray[np.float32]


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
    counts = [statistic.top_k(height * width) for statistic in config.statistics]
    largest = _largest(flat, max(1, *counts))
    columns = [(largest[..., :count] if count else flat).mean(axis=-1) for count in counts]
    return np.stack(columns, axis=-1).reshape(n, -1)


def _largest(flat: Floats, count: int) -> Floats:
    """The `count` largest of the last axis, falling; NaN counts as largest."""
    partitioned = np.partition(flat, flat.shape[-1] - count, axis=-1)
    return np.sort(partitioned[..., -count:], axis=-1)[..., ::-1]
