"""Features in a scale of their own: by how much good parts differ, along every direction.

Whitened, a squared distance is a Mahalanobis distance: a direction in which good parts never differ
counts as much as a loud one. On real parts that is worth far more than dividing each channel by its
own spread (docs/decisions/0006).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Moments", "Whitening"]

# Of the mean variance, added to each direction's: those that are constant on good pictures, up to
# rounding, must not outweigh all others.
VARIANCE_FLOOR_SHARE = 0.003
# Likewise the least variance of a channel, before correlations are taken: far below what channels
# of one layer differ by. The second counts where all are constant.
CHANNEL_FLOOR_SHARE, CHANNEL_FLOOR = 1e-4, 1e-12


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

    def set(self, mean: Tensor, covariance: Tensor, *, share: float = 1.0) -> None:
        """From the statistics of good features, along the directions of their correlation.

        Args:
            mean: (C,). covariance: (C, C), float64.
            share: 1 makes the variance of every direction 1; 0 leaves what the correlation has,
                between them a power of it.
        """
        variances = covariance.diagonal().clone()
        variances.clamp_(min=max(CHANNEL_FLOOR_SHARE * float(variances.mean()), CHANNEL_FLOOR))
        spread = variances.sqrt()
        correlation = covariance / spread[:, None] / spread
        correlation.diagonal().copy_(torch.ones_like(spread))
        variance, directions = torch.linalg.eigh(correlation)
        variance = variance.clamp(min=0) + VARIANCE_FLOOR_SHARE * variance.mean()
        self.mean.copy_(mean)
        self.matrix.copy_(directions / spread[:, None] * variance.pow(-share / 2))


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
