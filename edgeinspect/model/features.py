"""What a generator reconstructs under target `features`: whitened features, token by token.

backbone -> levels of features, each the mean of a small window, brought to the token grid -> one
vector a token -> whitened by their statistics on good pictures (`model.whitening`). A token's error
is its distance to the reconstruction and to the nearest remembered feature of good parts, added
(docs/decisions/0014); one number for the whole image stands beside it (docs/decisions/0015).
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
from edgeinspect.model.whitening import Moments, Whitening
from edgeinspect.model.whole import WholePart

__all__ = ["FeatureTargets", "window_mean"]


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
        self.whole = WholePart(self.width)

    def forward(self, images: Tensor) -> Tensor:
        return self._whitened(self._levels(images))

    def fit(self, batches: Iterable[Tensor], held_out: Iterable[Tensor], *, n_images: int) -> None:
        """Take whitenings and memory from good images, batches of (B, 3, H, W).

        Args:
            n_images: how many there are in all batches.
            held_out: others, which say how much the distance to the memory varies on good parts.
        """
        moments, cells, means = Moments(self.width), [], []
        with torch.no_grad():
            for images in batches:
                levels = self._levels(images)
                moments.add(self._tokens(levels).flatten(0, 1))
                copies = map(self._levels, self.memory.shifted(images, n_images))
                cells += [self.memory.cells_of(seen).flatten(0, 1) for seen in (levels, *copies)]
                means.append(self.whole.means_of(levels).flatten(0, 1))
            self.whiten.set(moments.mean(), moments.covariance())
            self.memory.remember(torch.cat(cells))
            self.whole.set(torch.cat(means))
            levels = [torch.cat(parts) for parts in zip(*map(self._levels, held_out), strict=True)]
            self.memory.scale(levels, like=self._whitened(levels).square().mean(dim=-1))

    def error_maps(self, images: Tensor, recons: Tensor) -> Tensor:
        """What the measures of features say of images, `features` and `whole`.

        Args:
            images: (B, 3, H, W).
            recons: (B, I, N, D), each token from the pass that did not see it.
        Returns: (B, 2, I, H, W). First the mean squared distance of each token to its
            reconstruction (1 on average, if that were the mean of good parts) plus its distance to
            the memory; then the distance of the whole image, the same everywhere.
        """
        levels = self._levels(images)
        differences = recons - self._whitened(levels).unsqueeze(1)
        maps = self._enlarged(differences.square().mean(dim=-1))  # (B, I, H, W)
        maps = maps + self._enlarged(self.memory(levels).unsqueeze(1))
        whole = self.whole(levels)[:, None, None, None].expand_as(maps)
        return torch.stack([maps, whole], dim=1)

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


def window_mean(level: Tensor, window: int) -> Tensor:
    """Each cell of (B, C, g, g) as the mean of the `window` x `window` cells around it that exist.

    As PatchCore's (arXiv 2106.08265): what a feature says counts, not in which cell.
    """
    if window == 1:
        return level
    return F.avg_pool2d(level, window, stride=1, padding=window // 2, count_include_pad=False)
