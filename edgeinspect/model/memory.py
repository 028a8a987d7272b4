"""Features that good parts are remembered by, and how far others are from the nearest of them.

PatchCore's (arXiv 2106.08265): the middle levels of the backbone on one grid; of all good features
those that cover the others best. Where good parts are of several kinds, such as a thread at every
turn, their mean lies between them all, and the nearest of them does not. Half whitened: as they
are, few loud directions decide what is near, whitened the noise of quiet ones
(docs/decisions/0014, 0015).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeinspect.config import MOST_CELLS, GeneratorConfig
from edgeinspect.model.coreset import greedy_coreset
from edgeinspect.model.tokens import to_tokens
from edgeinspect.model.whitening import Moments, Whitening

__all__ = ["FeatureMemory"]

DEEPEST_STRIDE = 16  # px; deeper features are those of things, not of surfaces
LEAST_SPREAD = 1e-6  # of distances on good parts
WEIGHT = 4.0  # of this distance, beside that to the reconstruction
WHITENED_SHARE = 0.5


class FeatureMemory(nn.Module):
    """Levels of features, (B, C, g, g) each -> distances (B, M) of the M cells of one grid.

    `size` is the side of the images that the levels are of, in px. With `config.feature_memory` 0
    nothing is remembered, and every distance is 0.
    """

    cells: Tensor  # (n, C)
    unit: Tensor

    def __init__(self, config: GeneratorConfig, channels: Sequence[int], size: int) -> None:
        super().__init__()
        strides = config.feature_strides
        middle = [s for s in strides if s <= DEEPEST_STRIDE] or list(strides)
        self.places = [strides.index(stride) for stride in middle]
        self.cell = max(middle)  # px
        self.n_side = size // self.cell
        self.width = sum(channels[place] for place in self.places)
        self.n_remembered = config.feature_memory
        self.whiten = Whitening(self.width)
        self.register_buffer("cells", torch.zeros(self.n_remembered, self.width))
        self.register_buffer("unit", torch.ones(()))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Distances to the nearest remembered feature, in units of `unit`.

        In these they vary on good parts `WEIGHT` times as much as distances to the reconstruction.
        """
        cells = self.cells_of(levels)  # (B, M, C)
        if not self.n_remembered:
            return torch.zeros_like(cells[..., 0])
        cells = self.whiten(cells)
        squares = cells.square().sum(dim=-1)
        nearness = cells @ self.cells.mT - self.cells.square().sum(dim=-1) / 2
        return (squares - 2 * nearness.amax(dim=-1)).clamp(min=0).sqrt() / self.unit

    def cells_of(self, levels: Sequence[Tensor]) -> Tensor:
        """The features that are compared, as the backbone gives them: (B, M, C)."""
        return torch.cat([to_tokens(levels[place], self.n_side) for place in self.places], dim=-1)

    @property
    def most_images(self) -> int:
        """How many images a memory can be chosen from."""
        return MOST_CELLS // self.n_side**2

    def shifted(self, images: Tensor, n_images: int) -> Iterator[Tensor]:
        """Copies of images (B, 3, H, W) whose features are worth remembering beside their own.

        Down and across by half a cell: a good part lies anywhere on the grid. As many of the three
        as a memory can be chosen from, where it is that of `n_images`.
        """
        half = self.cell // 2
        n_copies = self.most_images // n_images - 1 if self.n_remembered else 0
        for down, across in ((half, half), (0, half), (half, 0))[: max(n_copies, 0)]:
            padded = F.pad(images, (across, 0, down, 0), mode="replicate")
            yield padded[..., : images.shape[-2], : images.shape[-1]]

    def remember(self, cells: Tensor) -> None:
        """Keep those of good parts' features (n, C) that cover them best; too few are repeated."""
        if not self.n_remembered:
            return
        moments = Moments(self.width)
        moments.add(cells)
        self.whiten.set(moments.mean(), moments.covariance(), share=WHITENED_SHARE)
        cells = self.whiten(cells[_drawn(len(cells))])
        chosen = greedy_coreset(cells, min(self.n_remembered, len(cells)), first=0)
        self.cells.copy_(
            cells[chosen.repeat(-(-self.n_remembered // len(chosen)))][: len(self.cells)]
        )

    def scale(self, levels: Sequence[Tensor], *, like: Tensor) -> None:
        """Set the unit by good parts that are not remembered.

        Args:
            levels: their features. like: (B, N), another distance of the same images.
        """
        if self.n_remembered:
            self.unit.fill_(1.0)
            self.unit.copy_(_spread(self(levels)) / _spread(like) / WEIGHT)


def _drawn(n: int) -> Tensor:
    """Indices of at most `MOST_CELLS` of n cells, by chance.

    Cells come row by row: every second one would be every second column and no other.
    """
    if n <= MOST_CELLS:
        return torch.arange(n)
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:MOST_CELLS]
    return drawn.sort().values


def _spread(distances: Tensor) -> Tensor:
    """How much distances (B, M) vary between images, at the same place.

    Medians: of few good pictures one that is unusual would count for more than all others. Of one
    or two images the median is one of them, so places are what they vary between.
    """
    usual = distances.median(dim=0).values if len(distances) > 2 else distances.median()
    return (distances - usual).abs().median().clamp(min=LEAST_SPREAD)
