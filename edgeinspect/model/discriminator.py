"""The discriminator: tells images from reconstructions, and lends its features to L_adv.

A vision transformer with token merging in every block (paper, sections 2.1.3 and 2.3). Merging
pairs tokens differently in every image, so features are compared after pooling.
"""

from __future__ import annotations

from timm.layers import LayerNormFp32
from torch import Tensor, nn

from edgeinspect.config import DiscriminatorConfig, GeneratorConfig
from edgeinspect.model.blocks import SelfBlock, TokenEmbedding, initialise

__all__ = ["Discriminator"]


class Discriminator(nn.Module):
    """(B, 3, H, W) -> logit (B,) of being an image.

    The paper's output is the sigmoid of the logit; the loss takes the logit, which is the same
    with better rounding.
    """

    def __init__(self, config: DiscriminatorConfig, generator: GeneratorConfig) -> None:
        super().__init__()
        width = config.width or generator.width
        self.embedding = TokenEmbedding(size=generator.size, patch=generator.patch, width=width)
        self.blocks = nn.ModuleList(
            SelfBlock(width, merge=config.merge) for _ in range(config.depth)
        )
        self.norm = LayerNormFp32(width)
        self.output = nn.Linear(width, 1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        x, sizes = self.features(images)
        for block in self.blocks[self._middle :]:
            x, sizes = block(x, sizes)
        logit: Tensor = self.output(_pool(self.norm(x), sizes)).squeeze(-1)
        return logit

    def middle_features(self, images: Tensor) -> Tensor:
        """What L_adv compares, (B, D): the middle block's tokens, pooled."""
        return _pool(*self.features(images))

    def features(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Tokens and sizes after the middle block."""
        x, sizes = self.embedding(images), None
        for block in self.blocks[: self._middle]:
            x, sizes = block(x, sizes)
        return x, sizes

    @property
    def _middle(self) -> int:
        return len(self.blocks) // 2


def _pool(tokens: Tensor, sizes: Tensor | None) -> Tensor:
    """Mean over the patches that the tokens stand for: (B, N, D) -> (B, D)."""
    if sizes is None:
        return tokens.mean(dim=1)
    return (tokens * sizes).sum(dim=1) / sizes.sum(dim=1)
