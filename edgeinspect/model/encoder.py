"""The encoder: tokens of an image to its latents. Serves the generator and the latent encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from timm.layers import LayerNormFp32
from torch import Tensor, nn

from edgeinspect.config import Form, GeneratorConfig
from edgeinspect.model.blocks import SelfBlock, TokenEmbedding, initialise

__all__ = ["Encoded", "Encoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What the decoder reads. Sizes are (B, M, 1), or None where nothing was merged."""

    latents: Tensor  # (B, M, D), after the last norm
    sizes: Tensor | None
    first: Tensor  # (B, M1, D), of the first block: the long skip
    first_sizes: Tensor | None


class Encoder(nn.Module):
    """Embedding and `depth` blocks, which merge tokens if the configuration says so."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(size=config.size, patch=config.patch, width=config.width)
        # Told the type of its blocks, which torch's ModuleList cannot say.
        self.blocks: Sequence[SelfBlock] = nn.ModuleList(  # type: ignore[assignment]
            SelfBlock(
                config.width,
                config.mlp_ratio,
                merge=merge,
                unmerge=config.form is not Form.CROSS,
            )
            for merge in config.merge_of_blocks
        )
        self.norm = LayerNormFp32(config.width)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Latents of whole images, nothing removed, nothing merged: (B, 3, H, W) -> (B, N, D)."""
        x = self.embedding(images)
        for block in self.blocks:
            x = block.without_merging(x)
        latents: Tensor = self.norm(x)
        return latents

    def encode(self, tokens: Tensor, protected: Tensor | None = None) -> Encoded:
        """Run the blocks on tokens (B, N, D); `protected` (B, N) bool are never merged."""
        x, sizes = self.blocks[0](tokens, None, protected)
        first, first_sizes = x, sizes
        for block in self.blocks[1:]:
            x, sizes = block(x, sizes, protected)
        return Encoded(latents=self.norm(x), sizes=sizes, first=first, first_sizes=first_sizes)
