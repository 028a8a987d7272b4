"""The few numbers that stand for a map: mean, the mean of its largest pixels, the largest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgeinspect.config import Statistic

__all__ = ["map_statistics"]


def map_statistics(maps: Tensor, statistics: Sequence[Statistic]) -> Tensor:
    """Statistics of every map; the largest K sorts once for all of them.

    Args: maps: (B, K, I, H, W).
    Returns: (B, S), measure by measure, then scale, then statistic.
    """
    pixels = maps.flatten(3)  # (B, K, I, H * W)
    counts = [s.top_k(pixels.shape[-1]) for s in statistics]
    n_sorted = max(counts)
    largest = pixels.topk(n_sorted, dim=-1).values if n_sorted > 1 else None
    columns = [_statistic(pixels, largest, count) for count in counts]
    return torch.stack(columns, dim=-1).flatten(1)


def _statistic(pixels: Tensor, largest: Tensor | None, count: int) -> Tensor:
    """(B, K, I): the mean of all pixels (count 0) or of the `count` largest."""
    if count == 0:
        return pixels.mean(dim=-1)
    if largest is None:
        return pixels.amax(dim=-1)
    return largest[..., :count].mean(dim=-1)
