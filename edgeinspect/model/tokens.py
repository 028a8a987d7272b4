"""Features of a backbone's level on a grid of tokens."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["to_tokens"]


def to_tokens(level: Tensor, n_side: int) -> Tensor:
    """Features (B, C, g, g) on a grid of n_side x n_side tokens: (B, N, C).

    A finer level is averaged over each token's cells, a coarser one repeated; one of the two
    numbers divides the other.
    """
    side = level.shape[-1]
    if side > n_side:
        k = side // n_side
        level = level.unflatten(-2, (n_side, k)).unflatten(-1, (n_side, k)).mean(dim=(-3, -1))
    elif side < n_side:
        level = F.interpolate(level, scale_factor=float(n_side // side), mode="nearest")
    return level.flatten(2).mT
