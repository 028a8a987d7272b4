"""The smooth fill: what a block looks like from its four neighbours, without a network.

The prior that the generator's output is added to. In a checkerboard the neighbours above, below,
left and right of a removed block are visible, so one computation on the whole image serves both
complements. A pixel of the fill is the mean of its neighbours' pixels, weighted by
exp(-distance / fade) along each axis: small constant matrices, shared by all blocks. Larger
blocks are filled at the resolution at which they have the size of a patch.
"""

from __future__ import annotations

import torch
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
    enlarge: Tensor
    share: Tensor

    def __init__(self, size: int, patch: int, block: int, fade_share: float) -> None:
        super().__init__()
        self.patch, self.reduce = patch, block
        distance = torch.arange(patch)[:, None] - torch.arange(-patch, 2 * patch)[None, :]
        weights = torch.exp(-distance.abs() / (patch * fade_share))
        before, inside, after = weights.split(patch, dim=1)
        self.register_buffer("inside", inside.contiguous(), persistent=False)
        self.register_buffer("beside", torch.cat([before, after], dim=1), persistent=False)
        self.register_buffer("enlarge", _enlarging(patch, block), persistent=False)
        ones = torch.ones(1, 1, size // block, size // block)
        self.register_buffer("share", 1 / self._weighted_sum(ones), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        small = self._mean_cells(images) if self.reduce > 1 else images
        fill = self._weighted_sum(small) * self.share
        if self.reduce == 1:
            return fill
        rows = _times_rows(self.enlarge, fill, self.patch)
        return _times_rows(self.enlarge, rows.mT, self.patch).mT

    def _mean_cells(self, images: Tensor) -> Tensor:
        """Means of cells of reduce x reduce pixels (a pooling that ONNX Runtime does fast)."""
        g = self.reduce
        _n, c, h, w = images.shape
        return images.reshape(-1, c, h // g, g, w // g, g).mean(dim=(3, 5))

    def _weighted_sum(self, x: Tensor) -> Tensor:
        """Neighbours above and below, seen along the block's width, and the same turned."""
        upright = _times_rows(self.inside, self._from_neighbours(x).mT, self.patch).mT
        across = self._from_neighbours(_times_rows(self.inside, x, self.patch).mT).mT
        return upright + across

    def _from_neighbours(self, x: Tensor) -> Tensor:
        """(..., H, W): each row block from the blocks before and after it; none at the ends."""
        blocks = x.unflatten(-2, (-1, self.patch))
        nothing = torch.zeros_like(blocks[..., :1, :, :])
        before = torch.cat([nothing, blocks[..., :-1, :, :]], dim=-3)
        after = torch.cat([blocks[..., 1:, :, :], nothing], dim=-3)
        return (self.beside @ torch.cat([before, after], dim=-2)).flatten(-3, -2)


def _times_rows(matrix: Tensor, x: Tensor, block: int) -> Tensor:
    """`matrix` (k, block) on every block of rows: (..., n * block, W) -> (..., n * k, W)."""
    return (matrix @ x.unflatten(-2, (-1, block))).flatten(-3, -2)


def _enlarging(patch: int, factor: int) -> Tensor:
    """Linear interpolation of `patch` cells to patch * factor pixels, without looking outside."""
    centre = (torch.arange(patch * factor) + 0.5) / factor - 0.5
    centre = centre.clamp(0, patch - 1)
    return (1 - (centre[:, None] - torch.arange(patch)[None, :]).abs()).clamp(min=0)
