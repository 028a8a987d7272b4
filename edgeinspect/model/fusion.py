"""Joins the masked passes of a scale into one reconstruction (eq. 6)."""

from __future__ import annotations

from torch import Tensor

__all__ = ["fuse_reconstructions"]


def fuse_reconstructions(recons: Tensor, masks: Tensor) -> Tensor:
    """O_i = sum_j O_ij * M_ij: each pixel comes from the pass that did not see it (eq. 6).

    Args:
        recons: (B, I, 2, 3, H, W).
        masks: (I, 2, H, W), or (B, I, 2, H, W) where each image has scales of its own; 1 where
            the image was removed.
    Returns: (B, I, 3, H, W).
    """
    return (recons * masks.unsqueeze(-3)).sum(dim=2)
