"""What a generator reconstructs under target `features`: whitened features, token by token.

backbone -> levels of features, each the mean of a small window, brought to the token grid -> one
vector a token -> whitened by their statistics on good pictures. Whitened, a squared distance is a
Mahalanobis distance: a direction in which good parts never differ counts as much as a loud one. On
real parts it is worth far more than dividing each channel by its own spread (docs/decisions/0006).
To it comes the distance to the nearest features that good parts are remembered by
(docs/decisions/0014).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeinspect.config import GeneratorConfig
from edgeinspect.model.backbone import Backbone
from edgeinspect.model.memory import FeatureMemory
from edgeinspect.model.tokens import to_tokens

__all__ = ["FeatureTargets", "Moments", "Whitening", "window_mean"]

# Of the mean variance, added to each direction's: those that are constant on good pictures, up to
# rounding, must not outweigh all others.
VARIANCE_FLOOR_SHARE = 0.003
# Likewise the least variance of a channel, before correlations are taken: far below what channels
# of one layer differ by. The second counts where all are constant.
CHANNEL_FLOOR_SHARE, CHANNEL_FLOOR = 1e-4, 1e-12


class FeatureTargets(nn.Module):
    """Images (B, 3, H, W) in [0, 1] -> whitened tokens (B, N, D), D the channels of all levels."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.size, self.n_side = config.size, config.size // config.patch
        self.window = config.feature_window
        self.backbone = Backbone(config.backbone, config.feature_strides)
        self.width = sum(self.backbone.channels)
        self.whiten = Whitening(self.width)
        self.memory = FeatureMemory(config, self.backbone.channels)

    def forward(self, images: Tensor) -> Tensor:
        return self._whitened(self._levels(images))

    def fit(self, batches: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        """Take whitening and memory from good images, batches of (B, 3, H, W).

        Args:
            held_out: others, which say how much the distance to the memory varies on good parts.
        """
        moments, cells = Moments(self.width), []
        with torch.no_grad():
            for images in batches:
                levels = self._levels(images)
                moments.add(self._tokens(levels).flatten(0, 1))
                cells.append(self.memory.cells_of(levels).flatten(0, 1))
            self.whiten.set(moments)
            self.memory.remember(torch.cat(cells))
            levels = [torch.cat(parts) for parts in zip(*map(self._levels, held_out), strict=True)]
            self.memory.scale(levels, like=self._whitened(levels).square().mean(dim=-1))

    def error_maps(self, images: Tensor, recons: Tensor) -> Tensor:
        """Mean squared distance of each token to its reconstruction, and to the memory.

        Args:
            images: (B, 3, H, W).
            recons: (B, I, N, D), each token from the pass that did not see it.
        Returns: (B, 1, I, H, W), the sum of both; the former is 1 on average where good parts
            differ from their own mean.
        """
        levels = self._levels(images)
        differences = recons - self._whitened(levels).unsqueeze(1)
        maps = self._enlarged(differences.square().mean(dim=-1))  # (B, I, H, W)
        return (maps + self._enlarged(self.memory(levels).unsqueeze(1))).unsqueeze(1)

    def _levels(self, images: Tensor) -> list[Tensor]:
        return [window_mean(level, self.window) for level in self.backbone(images)]

    def _whitened(self, levels: Sequence[Tensor]) -> Tensor:
        tokens: Tensor = self.whiten(self._tokens(levels))
        return tokens

    def _tokens(self, levels: Sequence[Tensor]) -> Tensor:
        return torch.cat([to_tokens(level, self.n_side) for level in levels], dim=-1)

    def _enlarged(self, cells: Tensor) -> Tensor:
        """Cells of a square grid (B, M, n) to pixels: (B, M, H, W)."""
        side = math.isqrt(cells.shape[-1])
        grid = cells.unflatten(-1, (side, side))
        size = (self.size, self.size)
        return F.interpolate(grid, size=size, mode="bilinear", align_corners=False)


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
        self.mean.copy_(moments.mean())
        self.matrix.copy_(directions / spread[:, None] * variance.rsqrt())


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


def window_mean(level: Tensor, window: int) -> Tensor:
    """Each cell of (B, C, g, g) as the mean of the `window` x `window` cells around it that exist.

    As PatchCore's (arXiv 2106.08265): what a feature says counts, not in which cell.
    """
    if window == 1:
        return level
    return F.avg_pool2d(level, window, stride=1, padding=window // 2, count_include_pad=False)
