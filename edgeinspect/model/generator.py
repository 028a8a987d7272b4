"""The generator: an image in, the masked reconstructions of all passes out.

embedding -> encoder -> form (decoder) -> pixels of the removed tokens -> added to the prior,
between the visible pixels -> 3 x 3 convolution against block edges (paper, section 2.1.2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeinspect.config import GeneratorConfig, Prior
from edgeinspect.model.blocks import initialise
from edgeinspect.model.encoder import Encoder
from edgeinspect.model.fill import SmoothFill
from edgeinspect.model.forms import make_form
from edgeinspect.model.fusion import fuse_reconstructions
from edgeinspect.model.masks import BlockMasks

__all__ = ["Generator", "join_patches"]


class Generator(nn.Module):
    """Reconstructs what the block masks remove.

    With prior `fill` a new generator's reconstruction *is* the smooth fill: the head starts at
    zero, the convolution as the identity.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.masks = BlockMasks(config)
        self.encoder = Encoder(config)
        self.form = make_form(config)
        self.head = nn.Linear(config.width_of_decoder, config.patch**2 * 3)
        self.smooth = nn.Conv2d(3, 3, 3, padding=1)
        self.fill = (
            SmoothFill(size=config.size, patch=config.patch, mask_scales=config.mask_scales)
            if config.prior is Prior.FILL
            else None
        )
        initialise(self.form)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, 0.0 if self.fill else 0.5)
        nn.init.dirac_(self.smooth.weight)
        assert self.smooth.bias is not None
        nn.init.zeros_(self.smooth.bias)

    def forward(self, images: Tensor, scales: Tensor | None = None) -> Tensor:
        """Reconstruct both complements of all scales, or of one scale an image.

        Args:
            images: (B, 3, H, W), values in [0, 1].
            scales: (B,) int, the one scale to reconstruct of each image; None for all.
        Returns: (B, I, 2, 3, H, W), I = 1 where `scales` is given. Removed pixels are
            reconstructed, from visible pixels alone; the others are near the image's.
        """
        passes = None if scales is None else 2 * scales[:, None] + scales.new_tensor([0, 1])
        tables = self.masks.tables(passes)
        fill = None if self.fill is None else self._fill_of(images, scales)
        pixels = self.head(self.form(self.encoder, images, fill, tables))
        pixels = self.form.place(pixels, tables)
        side = self.config.size // self.config.patch
        residual = join_patches(pixels, side, self.config.patch)  # (B * Q, 3, H, W)
        residual = residual.unflatten(0, (-1, tables.n_passes))
        if fill is not None:
            residual = residual + fill.repeat_interleave(2, dim=1)  # both complements share it
        seen = torch.where(tables.removed > 0, residual, images.unsqueeze(1))
        size = self.config.size
        return self._smoothed(seen).reshape(-1, tables.n_passes // 2, 2, 3, size, size)

    def reconstruct(self, images: Tensor) -> Tensor:
        """O_i of all scales (eq. 6): (B, 3, H, W) -> (B, I, 3, H, W)."""
        masks = self.masks.removed.squeeze(1).unflatten(0, (-1, 2))  # (I, 2, H, W)
        return fuse_reconstructions(self(images), masks)

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

    def _fill_of(self, images: Tensor, scales: Tensor | None) -> Tensor:
        """The prior of all scales, or of each image's one: (B, I or 1, 3, H, W)."""
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
