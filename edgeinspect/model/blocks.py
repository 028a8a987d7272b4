"""Pre-norm transformer blocks, with token merging between attention and MLP.

Parts are timm's where they fit; attention is ours, because merging needs its keys, merged tokens
need a bias on its logits, and the decoder of form `cross` attends to other tokens than its own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import LayerNormFp32, Mlp, PatchEmbed, build_sincos2d_pos_embed
from torch import Tensor, nn

from edgeinspect.config import HEAD_WIDTH
from edgeinspect.model.merging import attention_bias, merge_matrix, merge_tokens, unmerge_tokens

__all__ = [
    "Attention",
    "CrossBlock",
    "SelfBlock",
    "TokenEmbedding",
    "attend",
    "initialise",
    "position_table",
]


class TokenEmbedding(nn.Module):
    """Images in [0, 1] -> tokens with positions: (B, 3, H, W) -> (B, N, D)."""

    def __init__(self, *, size: int, patch: int, width: int) -> None:
        super().__init__()
        self.patches = PatchEmbed(size, patch, 3, width)
        self.position = nn.Parameter(position_table(size // patch, width))

    def forward(self, images: Tensor) -> Tensor:
        return self.embed(images) + self.position

    def embed(self, images: Tensor) -> Tensor:
        """Without positions. Mid-grey is 0 at the input of the projection."""
        tokens: Tensor = self.patches((images - 0.5) * 4)
        return tokens

    def embed_removed(self) -> Tensor:
        """The token of a removed patch, whose input is 0: (D,). The same for every image."""
        bias = self.patches.proj.bias
        assert bias is not None
        return bias


class Attention(nn.Module):
    """Multi-head attention of `width` // 64 heads, over its own tokens or over a context."""

    def __init__(self, width: int, context_width: int | None = None) -> None:
        super().__init__()
        self.n_heads = width // HEAD_WIDTH
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context_width or width, 2 * width)
        self.output = nn.Linear(width, width)

    def forward(
        self, x: Tensor, context: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x (B, N, D), context (B, M, C), bias (B, 1, 1, M) -> (B, N, D), keys (B, M, 64).

        The keys are means over the heads: they summarise a token for merging.
        """
        query = self._heads(self.query(x) * HEAD_WIDTH**-0.5)
        key, value = self.key_value(x if context is None else context).chunk(2, dim=-1)
        key, value = self._heads(key), self._heads(value)
        attended = attend(query, key, value, bias)
        joined = attended.transpose(1, 2).flatten(2)
        return self.output(joined), key.mean(dim=1)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, HEAD_WIDTH)).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(Q K^T + bias) V of scaled queries: (B, heads, N, 64), (B, heads, M, 64) twice.

    In the exported graph two plain products, the pattern that TensorRT's fused attention looks
    for; the exporter's own turns the keys over three reshapes and scales them as well.
    """
    if torch.compiler.is_exporting():
        logits = query @ key.mT
        if bias is not None:
            logits = logits + bias
        return logits.softmax(dim=-1) @ value
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)


class SelfBlock(nn.Module):
    """Attention, merging of r tokens, MLP; with `unmerge` the tokens come back after the MLP."""

    def __init__(
        self, width: int, mlp_ratio: float = 4.0, *, merge: int = 0, unmerge: bool = False
    ) -> None:
        super().__init__()
        self.norm_attention = LayerNormFp32(width)
        self.attention = Attention(width)
        self.norm_mlp = LayerNormFp32(width)
        self.mlp = Mlp(width, int(width * mlp_ratio))
        self.merge, self.unmerge = merge, unmerge

    def forward(
        self, x: Tensor, sizes: Tensor | None = None, protected: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """x (B, N, D), sizes (B, N, 1) or None (all 1), protected (B, N) bool -> the same two."""
        if not self.merge:
            return self.without_merging(x, sizes), sizes
        x, keys = self._attend(x, sizes)
        if sizes is None:
            sizes = torch.ones_like(x[..., :1])
        matrix = merge_matrix(keys, self.merge, protected)
        merged, new_sizes = merge_tokens(matrix, x, sizes)
        change = self.mlp(self.norm_mlp(merged))
        if self.unmerge:
            return x + unmerge_tokens(matrix, change), None
        return merged + change, new_sizes

    def without_merging(self, x: Tensor, sizes: Tensor | None = None) -> Tensor:
        """The plain block, on all tokens that come in."""
        x, _ = self._attend(x, sizes)
        return x + self.mlp(self.norm_mlp(x))

    def _attend(self, x: Tensor, sizes: Tensor | None) -> tuple[Tensor, Tensor]:
        bias = None if sizes is None else attention_bias(sizes)
        attended, keys = self.attention(self.norm_attention(x), bias=bias)
        return x + attended, keys


class CrossBlock(nn.Module):
    """Attention of masked tokens to a context, then MLP: (B, N, D), (B, M, C) -> (B, N, D)."""

    def __init__(self, width: int, context_width: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm_attention = LayerNormFp32(width)
        self.attention = Attention(width, context_width)
        self.norm_mlp = LayerNormFp32(width)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor, context: Tensor, bias: Tensor | None = None) -> Tensor:
        attended, _ = self.attention(self.norm_attention(x), context, bias)
        x = x + attended
        return x + self.mlp(self.norm_mlp(x))


def position_table(n_side: int, width: int) -> Tensor:
    """(1, N, D): fixed sines and cosines of row and column, the start of a learned table."""
    table: Tensor = build_sincos2d_pos_embed([n_side, n_side], dim=width)
    return table.reshape(1, n_side * n_side, width)


def initialise(module: nn.Module) -> None:
    """Weights of all linear layers as timm's vision transformers start: normal, 0.02; bias 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
