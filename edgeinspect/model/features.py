"""What a generator reconstructs under target `features`: whitened features, token by token.

backbone -> levels of features, each the mean of a small window, brought to the token grid -> one
vector a token -> whitened by their statistics on good pictures (`model.whitening`). A token's error
is its distance to the reconstruction and to the nearest remembered feature of good parts, added
(docs/decisions/0014), in the image and where asked for in its halves as well
(docs/decisions/0023); one number for the whole image stands beside it (docs/decisions/0015).
"""

from __future__ import annotations

import itertools
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
    """Images (B, 3, H, W) in [0, 1] -> whitened tokens (B, N, D), D the channels of all levels.

    Tokens are of the smallest of `config.feature_sizes`; memories look at every size.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.size, self.n_side = config.size, config.size // config.patch
        self.window = config.feature_window
        self.backbone = Backbone(config.backbone, config.feature_strides)
        channels = self.backbone.channels
        self.width = sum(channels)
        self.whiten = Whitening(self.width)
        # Told the type of its memories, which torch's ModuleList cannot say.
        self.memories: Sequence[FeatureMemory] = nn.ModuleList(  # type: ignore[assignment]
            FeatureMemory(config, channels, size) for size in config.feature_sizes
        )
        self.whole = WholePart(self.width * len(self.memories))

    def forward(self, images: Tensor) -> Tensor:
        return self._whitened(self._levels(self._octaves(images)[-1]))

    @property
    def most_images(self) -> int:
        """How many images every memory can be chosen from."""
        return min(memory.most_images for memory in self.memories)

    def fit(self, batches: Iterable[Tensor], held_out: Iterable[Tensor], *, n_images: int) -> None:
        """Take whitenings and memories from good images, batches of (B, 3, H, W).

        Args:
            n_images: how many there are in all batches.
            held_out: others, which say how much distances to a memory vary on good parts.
        """
        moments, means = Moments(self.width), []
        cells: list[list[Tensor]] = [[] for _ in self.memories]
        with torch.no_grad():
            for batch in batches:
                octaves = self._octaves(batch)
                levels = [self._levels(images) for images in octaves]
                moments.add(self._tokens(levels[-1]).flatten(0, 1))
                means.append(self.whole.means_of(_joined(levels)).flatten(0, 1))
                for memory, own, images, seen in zip(
                    self.memories, cells, octaves, levels, strict=True
                ):
                    copies = map(self._levels, memory.shifted(images, n_images))
                    own += [memory.cells_of(each).flatten(0, 1) for each in (seen, *copies)]
            self.whiten.set(moments.mean(), moments.covariance())
            self.whole.set(torch.cat(means))
            for memory, own in zip(self.memories, cells, strict=True):
                memory.remember(torch.cat(own))
            self._scale(held_out)

    def _scale(self, held_out: Iterable[Tensor]) -> None:
        """Give every memory its unit, by good images that are not remembered."""
        seen = [[self._levels(images) for images in self._octaves(batch)] for batch in held_out]
        levels = [
            [torch.cat(parts) for parts in zip(*batches, strict=True)]
            for batches in zip(*seen, strict=True)
        ]
        distances = self._whitened(levels[-1]).square().mean(dim=-1)
        for memory, own in zip(self.memories, levels, strict=True):
            memory.scale(own, like=distances)

    def error_maps(self, images: Tensor, recons: Tensor) -> Tensor:
        """What the measures of features say of images, `features` and `whole`.

        Args:
            images: (B, 3, H, W).
            recons: (B, I, N, D), each token from the pass that did not see it.
        Returns: (B, 2, I, H, W). First the mean squared distance of each token to its
            reconstruction (1 on average, if that were the mean of good parts) plus its distances to
            the memories; then the distance of the whole image, the same everywhere.
        """
        levels = [self._levels(own) for own in self._octaves(images)]
        differences = recons - self._whitened(levels[-1]).unsqueeze(1)
        maps = self._enlarged(differences.square().mean(dim=-1))  # (B, I, H, W)
        for memory, own in zip(self.memories, levels, strict=True):
            maps = maps + self._enlarged(memory(own).unsqueeze(1))
        whole = self.whole(_joined(levels))[:, None, None, None].expand_as(maps)
        return torch.stack([maps, whole], dim=1)

    def _octaves(self, images: Tensor) -> list[Tensor]:
        """The images in every size, the largest first, each half as large as the one before."""
        octaves = [images]
        while len(octaves) < len(self.memories):
            octaves.append(F.avg_pool2d(octaves[-1], 2))
        return octaves

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


def _joined(levels: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    return list(itertools.chain.from_iterable(levels))


def window_mean(level: Tensor, window: int) -> Tensor:
    """Each cell of (B, C, g, g) as the mean of the `window` x `window` cells around it that exist.

    As PatchCore's (arXiv 2106.08265): what a feature says counts, not in which cell.
    """
    if window == 1:
        return level
    return F.avg_pool2d(level, window, stride=1, padding=window // 2, count_include_pad=False)
