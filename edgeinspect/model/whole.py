"""How far an image as a whole is from good ones, where no single place stands out.

A part that is dull, of another alloy or bent as a whole is a little unusual everywhere. The mean of
an image's features varies far less between good parts than the features of a place do, so there the
same small change is large (docs/decisions/0015).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeinspect.calibration.shrinkage import shrunk_covariance
from edgeinspect.model.whitening import Whitening

__all__ = ["WholePart"]


class WholePart(nn.Module):
    """Levels of features, (B, C, g, g) each -> how unusual their means are, (B,).

    The root mean square of the whitened means, which is a Mahalanobis distance from those of good
    images: about 1 on good images.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.whiten = Whitening(n_channels)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        whitened: Tensor = self.whiten(self.means_of(levels))
        return whitened.square().mean(dim=(1, 2)).sqrt()

    def means_of(self, levels: Sequence[Tensor]) -> Tensor:
        """The mean of every channel, (B, 1, C)."""
        return torch.cat([level.mean(dim=(2, 3)) for level in levels], dim=1).unsqueeze(1)

    def set(self, means: Tensor) -> None:
        """From good images' (n, C). Few for so many channels: their covariance is shrunk."""
        exact = means.double().cpu()
        spread = exact.std(dim=0, unbiased=False)
        scaled = (exact - exact.mean(dim=0)) / spread.clamp(min=torch.finfo(spread.dtype).tiny)
        covariance = torch.from_numpy(shrunk_covariance(scaled.numpy())[0])
        self.whiten.set(exact.mean(dim=0), covariance * spread[:, None] * spread)
