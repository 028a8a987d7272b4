"""What a generator reconstructs under target `features`: whitened features, token by token.

backbone -> levels of features -> whitened by their statistics on good pictures -> folded onto the
token grid. Whitened, a squared distance is a Mahalanobis distance: a direction in which good parts
never differ counts as much as a loud one. On real parts it is worth far more than dividing each
channel by its own spread (docs/decisions/0006).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeinspect.config import GeneratorConfig
from edgeinspect.model.backbone import Backbone

__all__ = ["FeatureTargets", "Moments", "Whitening", "fold_cells", "unfold_cells"]

# Of the mean variance, added to each direction's: those that are constant on good pictures, up to
# rounding, must not outweigh all others.
VARIANCE_FLOOR_SHARE = 0.003
# Likewise the least variance of a channel, before correlations are taken: far below what channels
# of one layer differ by. The second counts where all are constant.
CHANNEL_FLOOR_SHARE, CHANNEL_FLOOR = 1e-4, 1e-12


class FeatureTargets(nn.Module):
    """Images (B, 3, H, W) in [0, 1] -> tokens (B, N, D), the levels one behind the other.

    A level finer than the token grid gives each token all its cells, a coarser one its only cell.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.size, self.n_side = config.size, config.size // config.patch
        self.backbone = Backbone(config.backbone, config.feature_strides)
        sides = [config.size // stride for stride in config.feature_strides]
        self.n_cells = [max(1, side // self.n_side) for side in sides]  # along a token's side
        channels = self.backbone.channels
        self.widths = [c * n**2 for c, n in zip(channels, self.n_cells, strict=True)]
        # Told the type of its parts, which torch's ModuleList cannot say.
        self.whitenings: Sequence[Whitening] = nn.ModuleList(  # type: ignore[assignment]
            Whitening(n_channels) for n_channels in channels
        )

    @property
    def width(self) -> int:
        """D, the numbers that describe a token."""
        return sum(self.widths)

    def forward(self, images: Tensor) -> Tensor:
        levels = self.backbone(images)
        return torch.cat(
            [
                fold_cells(whiten(level.flatten(2).mT), self.n_side)
                for level, whiten in zip(levels, self.whitenings, strict=True)
            ],
            dim=-1,
        )

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Take the whitening from good images, batches of (B, 3, H, W)."""
        moments = [Moments(n_channels) for n_channels in self.backbone.channels]
        with torch.no_grad():
            for images in batches:
                for moment, level in zip(moments, self.backbone(images), strict=True):
                    moment.add(level.flatten(2).mT.flatten(0, 1))
        for whiten, moment in zip(self.whitenings, moments, strict=True):
            whiten.set(moment)

    def error_maps(self, targets: Tensor, recons: Tensor) -> Tensor:
        """Mean squared distance of each level's cells, enlarged to pixels.

        Args:
            targets: (B, N, D).
            recons: (B, I, N, D), each token from the pass that did not see it.
        Returns: (B, L, I, H, W), L levels; 1 is what good parts differ from their own mean.
        """
        squares = (recons - targets.unsqueeze(1)).square()
        maps = []
        for level, n in zip(squares.split(self.widths, dim=-1), self.n_cells, strict=True):
            distance = level.unflatten(-1, (n * n, -1)).mean(dim=-1)  # (B, I, N, n * n)
            cells = unfold_cells(distance, self.n_side, n)
            maps.append(_enlarge(cells, self.size))
        return torch.stack(maps, dim=1)


class Whitening(nn.Module):
    """(f - mean) @ matrix: on good pictures mean 0, and variance 1 in every direction."""

    mean: Tensor
    matrix: Tensor

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_channels))
        self.register_buffer("matrix", torch.eye(n_channels))

    def forward(self, features: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return (features - self.mean) @ self.matrix

    def set(self, moments: Moments) -> None:
        """From the statistics of good features, along the directions of their correlation."""
        covariance = moments.covariance()
        variances = covariance.diagonal()  # a view
        variances.clamp_(min=max(CHANNEL_FLOOR_SHARE * float(variances.mean()), CHANNEL_FLOOR))
        spread = variances.sqrt()
        variance, directions = torch.linalg.eigh(covariance / spread[:, None] / spread)
        variance = variance.clamp(min=0) + VARIANCE_FLOOR_SHARE * variance.mean()
        matrix = directions / spread[:, None] * variance.rsqrt()
        self.mean.copy_(moments.mean())
        self.matrix.copy_(matrix)


class Moments:
    """Sums of feature vectors and of their products, in float64."""

    def __init__(self, n_channels: int) -> None:
        self.count = 0
        self.total = torch.zeros(n_channels, dtype=torch.float64)
        self.products = torch.zeros(n_channels, n_channels, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Features (n, C)."""
        exact = features.double().cpu()
        self.count += len(exact)
        self.total += exact.sum(dim=0)
        self.products += exact.mT @ exact

    def mean(self) -> Tensor:
        return self.total / self.count

    def covariance(self) -> Tensor:
        mean = self.mean()
        return self.products / self.count - mean[:, None] * mean


def fold_cells(cells: Tensor, n_side: int) -> Tensor:
    """Cells (B, g * g, C) to tokens (B, n_side * n_side, C'), reading order within and without."""
    batch, n, width = cells.shape
    side = round(n**0.5)
    if side >= n_side:
        k = side // n_side
        grid = cells.reshape(batch, n_side, k, n_side, k, width).transpose(2, 3)
        return grid.reshape(batch, n_side * n_side, k * k * width)
    k = n_side // side
    grid = cells.reshape(batch, side, 1, side, 1, width).expand(-1, -1, k, -1, k, -1)
    return grid.reshape(batch, n_side * n_side, width)


def unfold_cells(values: Tensor, n_side: int, k: int) -> Tensor:
    """A value of each of a token's k * k cells (B, I, N, k * k) as maps (B, I, n k, n k)."""
    grid = values.unflatten(2, (n_side, n_side)).unflatten(-1, (k, k)).transpose(3, 4)
    return grid.reshape(*values.shape[:2], n_side * k, n_side * k)


def _enlarge(maps: Tensor, size: int) -> Tensor:
    """Maps (B, I, g, g) to (B, I, size, size), linearly between the cells' centres."""
    enlarged: Tensor = F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)
    return enlarged
