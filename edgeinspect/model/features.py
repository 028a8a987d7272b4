"""What a generator reconstructs under target `features`: whitened features, token by token.

backbone -> levels of features, each the mean of a small window, brought to the token grid -> one
vector a token -> whitened by their statistics on good pictures. Whitened, a squared distance is a
Mahalanobis distance: a direction in which good parts never differ counts as much as a loud one. On
real parts it is worth far more than dividing each channel by its own spread (docs/decisions/0006).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeinspect.config import GeneratorConfig
from edgeinspect.model.backbone import Backbone

__all__ = ["FeatureTargets", "Moments", "Whitening", "to_tokens", "window_mean"]

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

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.whiten(self._tokens(images))
        return tokens

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Take the whitening from good images, batches of (B, 3, H, W)."""
        moments = Moments(self.width)
        with torch.no_grad():
            for images in batches:
                moments.add(self._tokens(images).flatten(0, 1))
        self.whiten.set(moments)

    def error_maps(self, targets: Tensor, recons: Tensor) -> Tensor:
        """Mean squared distance of each token, enlarged to pixels.

        Args:
            targets: (B, N, D).
            recons: (B, I, N, D), each token from the pass that did not see it.
        Returns: (B, 1, I, H, W); on average 1 where good parts differ from their own mean.
        """
        distance = (recons - targets.unsqueeze(1)).square().mean(dim=-1)  # (B, I, N)
        cells = distance.unflatten(-1, (self.n_side, self.n_side))
        size = (self.size, self.size)
        maps = F.interpolate(cells, size=size, mode="bilinear", align_corners=False)
        return maps.unsqueeze(1)

    def _tokens(self, images: Tensor) -> Tensor:
        levels = [window_mean(level, self.window) for level in self.backbone(images)]
        return torch.cat([to_tokens(level, self.n_side) for level in levels], dim=-1)


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
