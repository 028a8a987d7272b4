"""The generator: an image in, the masked reconstructions of all passes out.

embedding -> encoder -> form (decoder) -> pixels of the removed tokens -> added to the prior,
between the visible pixels -> 3 x 3 convolution against block edges (paper, section 2.1.2).
Under target `features` the same decoder's tokens become features instead, under `both` as well.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeinspect.config import GeneratorConfig, Prior
from edgeinspect.model.blocks import initialise
from edgeinspect.model.encoder import Encoder
from edgeinspect.model.features import FeatureTargets
from edgeinspect.model.fill import SmoothFill
from edgeinspect.model.forms import make_form
from edgeinspect.model.fusion import fuse_reconstructions
from edgeinspect.model.masks import BlockMasks, MaskTables

__all__ = ["Decoded", "Generator", "Reconstruction", "join_patches"]


class Reconstruction(NamedTuple):
    """What the masked passes of B images give; None where the target has none of it.

    Attributes:
        pixels: (B, I, 2, 3, H, W). Removed pixels are reconstructed, from visible pixels alone;
            the others are near the image's.
        features: (B, I, N, D), whitened; each token from the pass that did not see it.
    """

    pixels: Tensor | None
    features: Tensor | None


class Decoded(NamedTuple):
    """Removed tokens of all passes before the heads: (B * Q, n, D), with what they came from."""

    tokens: Tensor
    fill: Tensor | None
    tables: MaskTables


class Generator(nn.Module):
    """Reconstructs what the block masks remove.

    With prior `fill` a new generator's reconstruction *is* the smooth fill: the head starts at
    zero, the convolution as the identity. Its features are those that are usual on good parts.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.masks = BlockMasks(config)
        self.encoder = Encoder(config)
        self.form = make_form(config)
        self.fill = SmoothFill.of(config) if config.prior is Prior.FILL else None
        initialise(self.form)
        if config.target.has_pixels:
            self.head = nn.Linear(config.width_of_decoder, config.patch**2 * 3)
            self.smooth = nn.Conv2d(3, 3, 3, padding=1)
            nn.init.zeros_(self.head.weight)
            nn.init.constant_(self.head.bias, 0.0 if self.fill else 0.5)
            nn.init.dirac_(self.smooth.weight)
            assert self.smooth.bias is not None
            nn.init.zeros_(self.smooth.bias)
        if config.target.has_features:
            self.targets = FeatureTargets(config)
            self.feature_head = nn.Linear(config.width_of_decoder, self.targets.width)
            nn.init.zeros_(self.feature_head.weight)
            nn.init.zeros_(self.feature_head.bias)

    def forward(self, images: Tensor, scales: Tensor | None = None) -> Reconstruction:
        """Reconstruct both complements of all scales, or of one scale an image.

        Args:
            images: (B, 3, H, W), values in [0, 1].
            scales: (B,) int, the one scale to reconstruct of each image; None for all. Then I = 1.
        """
        tokens, fill, tables = self.decode(images, scales)
        target = self.config.target
        return Reconstruction(
            pixels=self._pixels(tokens, images, fill, tables) if target.has_pixels else None,
            features=self._features(tokens, tables) if target.has_features else None,
        )

    def decode(self, images: Tensor, scales: Tensor | None = None) -> Decoded:
        """Encode what each pass sees and decode what it removed; arguments as of `forward`."""
        passes = None if scales is None else 2 * scales[:, None] + scales.new_tensor([0, 1])
        tables = self.masks.tables(passes)
        fill = None if self.fill is None else self.fill_of(images, scales)
        return Decoded(self.form(self.encoder, images, fill, tables), fill, tables)

    def reconstruct(self, images: Tensor) -> Tensor:
        """O_i of all scales (eq. 6): (B, 3, H, W) -> (B, I, 3, H, W).

        Only for targets with pixels.
        """
        masks = self.masks.removed.squeeze(1).unflatten(0, (-1, 2))  # (I, 2, H, W)
        pixels = self(images).pixels
        assert pixels is not None
        return fuse_reconstructions(pixels, masks)

    def _pixels(
        self, decoded: Tensor, images: Tensor, fill: Tensor | None, tables: MaskTables
    ) -> Tensor:
        """Decoded tokens (B * Q, n, D) to pixels between the visible ones: (B, I, 2, 3, H, W)."""
        size, patch = self.config.size, self.config.patch
        pixels = self.form.place(self.head(decoded), tables)
        residual = join_patches(pixels, size // patch, patch)  # (B * Q, 3, H, W)
        residual = residual.unflatten(0, (-1, tables.n_passes))
        if fill is not None:
            residual = residual + fill.repeat_interleave(2, dim=1)  # both complements share it
        seen = torch.where(tables.removed > 0, residual, images.unsqueeze(1))
        return self._smoothed(seen).reshape(-1, tables.n_passes // 2, 2, 3, size, size)

    def _features(self, decoded: Tensor, tables: MaskTables) -> Tensor:
        """Decoded tokens (B * Q, n, D) to features, fused as eq. 6 does: (B, I, N, D')."""
        features = self.form.place(self.feature_head(decoded), tables)
        first, second = features.unflatten(0, (-1, tables.n_passes // 2, 2)).unbind(dim=2)
        is_removed_first = tables.token_removed[..., ::2, :, None]
        return torch.where(is_removed_first, first, second)

    def _smoothed(self, seen: Tensor) -> Tensor:
        """The 3 x 3 convolution on every pass: (B, Q, 3, H, W) -> B * Q * 3 planes of H x W.

        Three channels suit no kernel: in training channels last are the fastest
        (`benchmarks/training_layouts.py`), in ONNX Runtime one group a pass. Both compute the same.
        """
        if self.training:
            together = seen.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            smoothed: Tensor = self.smooth(together)
            return smoothed
        n_passes = seen.shape[1]
        weight = self.smooth.weight.repeat(n_passes, 1, 1, 1)
        bias = None if self.smooth.bias is None else self.smooth.bias.repeat(n_passes)
        return F.conv2d(seen.flatten(1, 2), weight, bias, padding=1, groups=n_passes)

    def fill_of(self, images: Tensor, scales: Tensor | None = None) -> Tensor:
        """What `fill` puts into the masks of all scales, or of each image's one.

        (B, 3, H, W) -> (B, I or 1, 3, H, W). Only where the generator has a fill.
        """
        assert self.fill is not None
        fill: Tensor = self.fill(images)
        if scales is None:
            return fill
        return fill[torch.arange(len(fill), device=fill.device), scales].unsqueeze(1)


def join_patches(pixels: Tensor, side: int, patch: int) -> Tensor:
    """(B', side * side, 3 * patch * patch) -> (B', 3, side * patch, side * patch).

    Channel first within a token: rows of pixels stay together when they are moved.
    """
    grid = pixels.reshape(-1, side, side, 3, patch, patch)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(-1, 3, side * patch, side * patch)
