"""The smooth fill: what a block looks like from its four neighbours, without a network.

The prior that the generator's output is added to. In a checkerboard the neighbours above, below,
left and right of a removed block are visible, so one computation on the whole image serves both
complements. A pixel of the fill is the mean of its neighbours' pixels, weighted by
exp(-distance / fade) along each axis. Larger blocks are filled at the resolution at which they
have the size of a patch.

Seen from another block, a block fades from the edge that they share: exp(-(a + b)) is
exp(-a) exp(-b). So a neighbour counts by one row or column, the weighted sum that its edge shows,
and all products are with small constant matrices, shared by all blocks. Rows are multiplied from
the left and columns from the right, which needs no transposed copies.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeinspect.config import FADE_SHARE, GeneratorConfig

__all__ = ["SmoothFill"]


class SmoothFill(nn.Module):
    """Images (B, 3, H, W) -> the fill of each scale (B, I, 3, H, W).

    Each block of scale i is computed from its neighbours alone: a removed pixel has no influence
    on its own block's fill.
    """

    def __init__(
        self,
        *,
        size: int,
        patch: int,
        mask_scales: tuple[int, ...],
        fade_share: float = FADE_SHARE,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            _ScaleFill(size, patch, block, fade_share) for block in mask_scales
        )

    @classmethod
    def of(cls, config: GeneratorConfig) -> SmoothFill:
        """The fill of a generator's masks."""
        return cls(size=config.size, patch=config.patch, mask_scales=config.mask_scales)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([fill(images) for fill in self.scales], dim=1)


class _ScaleFill(nn.Module):
    inside: Tensor
    edges: Tensor
    fading: Tensor
    neighbours: Tensor
    shrink: Tensor
    enlarge: Tensor
    share: Tensor

    def __init__(self, size: int, patch: int, block: int, fade_share: float) -> None:
        super().__init__()
        self.patch, self.reduce = patch, block
        fade, place = patch * fade_share, torch.arange(patch)
        inside = torch.exp(-(place[:, None] - place).abs() / fade)
        self.register_buffer("inside", inside, persistent=False)
        # What the first and the last edge show of a block, and how they fade in the next block.
        self.register_buffer("edges", inside[[0, -1]].clone(), persistent=False)
        fading = torch.exp(-torch.stack([place + 1, patch - place], dim=1) / fade)
        self.register_buffer("fading", fading, persistent=False)
        side = size // block
        self.register_buffer("neighbours", _neighbours(side // patch), persistent=False)
        shrink = torch.eye(patch).repeat_interleave(block, dim=1) / block
        self.register_buffer("shrink", shrink, persistent=False)
        self.register_buffer("enlarge", _enlarging(patch, block), persistent=False)
        ones = torch.ones(1, 1, side, side)
        self.register_buffer("share", 1 / self._weighted_sum(ones), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        if self.reduce == 1:
            return self._weighted_sum(images) * self.share
        small = _times_columns(self.shrink, _times_rows(self.shrink, images))
        fill = self._weighted_sum(small) * self.share
        return _times_columns(self.enlarge, _times_rows(self.enlarge, fill))

    def _weighted_sum(self, x: Tensor) -> Tensor:
        """Neighbours above and below, seen along the block's width, and those left and right."""
        rows = _times_columns(self.inside, _times_rows(self.edges, x))
        columns = _times_rows(self.inside, _times_columns(self.edges, x))
        upright = _times_rows(self.fading, self.neighbours @ rows)
        return upright + _times_columns(self.fading, columns @ self.neighbours.mT)


def _times_rows(matrix: Tensor, x: Tensor) -> Tensor:
    """`matrix` (k, block) on every block of rows: (..., n * block, W) -> (..., n * k, W)."""
    return (matrix @ x.unflatten(-2, (-1, matrix.shape[1]))).flatten(-3, -2)


def _times_columns(matrix: Tensor, x: Tensor) -> Tensor:
    """The same on every block of columns: (..., H, n * block) -> (..., H, n * k)."""
    return (x.unflatten(-1, (-1, matrix.shape[1])) @ matrix.mT).flatten(-2, -1)


def _neighbours(n_blocks: int) -> Tensor:
    """(2 * n, 2 * n): a block's two edges -> the last of the block before, the first of the next.

    Zeros where there is no neighbour.
    """
    wanted = 2 * torch.arange(n_blocks)[:, None] + torch.tensor([-1, 2])
    return (wanted.flatten()[:, None] == torch.arange(2 * n_blocks)).float()


def _enlarging(patch: int, factor: int) -> Tensor:
    """Linear interpolation of `patch` cells to patch * factor pixels, without looking outside."""
    centre = (torch.arange(patch * factor) + 0.5) / factor - 0.5
    centre = centre.clamp(0, patch - 1)
    return (1 - (centre[:, None] - torch.arange(patch)[None, :]).abs()).clamp(min=0)
