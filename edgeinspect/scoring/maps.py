"""Error maps against those of good parts: normalisation, blur, and the pick of one map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgeinspect.scoring.measures import CHANNEL_BLOCK, separable_filter

__all__ = ["box_blur", "normalise_maps", "pick_map"]


def normalise_maps(errors: Tensor, tile: Tensor, map_mean: Tensor, map_inv_std: Tensor) -> Tensor:
    """(E - mean) / spread, by the maps of each image's tile position.

    Args:
        errors: (B, K, I, H, W). tile: (B,), int32, which of the T maps.
        map_mean, map_inv_std: (T, K, I, H, W).
    Returns: (B, K, I, H, W), in spreads of good parts.
    """
    return (errors - map_mean.index_select(0, tile)) * map_inv_std.index_select(0, tile)


def box_blur(maps: Tensor, n_px: int) -> Tensor:
    """The mean of the `n_px` x `n_px` pixels (odd) around each; edges by repetition.

    Args: maps: (B, K, I, H, W). Returns: the same shape.
    """
    if n_px == 1:
        return maps
    half, n_maps = n_px // 2, maps.shape[1] * maps.shape[2]
    padded = F.pad(maps.flatten(1, 2), (half, half, half, half), mode="replicate")
    n_fill = -n_maps % CHANNEL_BLOCK  # the filter wants whole blocks
    padded = torch.cat([padded, padded[:, :1].expand(-1, n_fill, -1, -1)], dim=1)
    blurred = separable_filter(padded, maps.new_full((n_px,), 1 / n_px))
    return blurred[:, :n_maps].reshape(-1, *maps.shape[1:])


def pick_map(maps: Tensor, picked: Tensor) -> Tensor:
    """One map of each image: (B, K, I, H, W) and (B,), int64 in 0 to K * I - 1, to (B, H, W).

    A gather, so that a map that is not finite spoils no other; a one-hot product costs five
    times as much.
    """
    height, width = maps.shape[-2:]
    index = picked[:, None, None].expand(-1, 1, height * width)
    return maps.flatten(1, 2).flatten(2).gather(1, index).reshape(-1, height, width)
