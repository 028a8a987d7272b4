"""The smooth fill: what a block looks like from its four neighbours, without a network.

The prior that the generator's output is added to. In a checkerboard the neighbours above, below,
left and right of a removed block are visible, so one computation on the whole image serves both
complements. A pixel of the fill is the mean of its neighbours' pixels, weighted by
exp(-distance / fade) along each axis: small constant matrices, shared by all blocks. Larger
blocks are filled at the resolution at which they have the size of a patch.

Rows are multiplied from the left and columns from the right, which needs no transposed copies, and
both neighbours of a block come from one gather: together 1.5 times as fast in ONNX Runtime as
turning the image and joining shifted copies.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeinspect.config import GeneratorConfig

__all__ = ["SmoothFill"]

FADE_SHARE = 1 / 12  # of a block's side; others are compared in benchmarks/fill_kernel.py


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
    beside: Tensor
    neighbours: Tensor
    shrink: Tensor
    enlarge: Tensor
    share: Tensor

    def __init__(self, size: int, patch: int, block: int, fade_share: float) -> None:
        super().__init__()
        self.patch, self.reduce = patch, block
        distance = torch.arange(patch)[:, None] - torch.arange(-patch, 2 * patch)[None, :]
        weights = torch.exp(-distance.abs() / (patch * fade_share))
        before, inside, after = weights.split(patch, dim=1)
        side = size // block
        self.register_buffer("inside", inside.contiguous(), persistent=False)
        self.register_buffer("beside", torch.cat([before, after], dim=1), persistent=False)
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
        upright = _times_rows(self.beside, self._beside(x, -2))
        across = _times_rows(self.inside, x)
        return _times_columns(self.inside, upright) + _times_columns(
            self.beside, self._beside(across, -1)
        )

    def _beside(self, x: Tensor, dim: int) -> Tensor:
        """Each block of rows (dim -2) or columns (-1) as the blocks before and after it.

        Twice as long in that dimension; zeros where there is no neighbour.
        """
        blocks = x.unflatten(dim, (-1, self.patch))
        padded = F.pad(blocks, (0, 0) * -dim + (0, 1))  # a block of zeros behind the last
        return padded.index_select(dim - 1, self.neighbours).flatten(dim - 1, dim)


def _times_rows(matrix: Tensor, x: Tensor) -> Tensor:
    """`matrix` (k, block) on every block of rows: (..., n * block, W) -> (..., n * k, W)."""
    return (matrix @ x.unflatten(-2, (-1, matrix.shape[1]))).flatten(-3, -2)


def _times_columns(matrix: Tensor, x: Tensor) -> Tensor:
    """The same on every block of columns: (..., H, n * block) -> (..., H, n * k)."""
    return (x.unflatten(-1, (-1, matrix.shape[1])) @ matrix.mT).flatten(-2, -1)


def _neighbours(n_blocks: int) -> Tensor:
    """(2 * n,): for each block that before and that after it, n where there is none."""
    places = torch.arange(n_blocks)[:, None] + torch.tensor([-1, 1])
    return torch.where(places < 0, n_blocks, places).flatten()


def _enlarging(patch: int, factor: int) -> Tensor:
    """Linear interpolation of `patch` cells to patch * factor pixels, without looking outside."""
    centre = (torch.arange(patch * factor) + 0.5) / factor - 0.5
    centre = centre.clamp(0, patch - 1)
    return (1 - (centre[:, None] - torch.arange(patch)[None, :]).abs()).clamp(min=0)
