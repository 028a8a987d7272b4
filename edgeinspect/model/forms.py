"""The three forms of the generator: which tokens are encoded, and which are decoded.

Each form decodes the removed tokens of an image, for all passes as one batch. They share one
interface, so that training, scoring and export know no form:

    form(encoder, images, fill, tables) -> (B * Q, n, D), the tokens that it decodes
    form.place(pixels, tables)          -> (B * Q, N, P), their pixels in every token's place

`fill` is the prior of the Q/2 scales, (B, Q/2, 3, H, W), or None. Where there is one, a removed
token starts from the embedding of its fill: without it a new network spends its first hundreds
of steps on finding out where its tokens are (docs/decisions/0003). Places that a form does not
decode hold zeros; fusion never reads them (eq. 6).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from timm.layers import LayerNormFp32, PatchEmbed
from torch import Tensor, nn

from edgeinspect.config import Form, GeneratorConfig, Prior
from edgeinspect.model.blocks import CrossBlock, SelfBlock, position_table
from edgeinspect.model.encoder import Encoder
from edgeinspect.model.masks import MaskTables, gather_tokens, place_tokens
from edgeinspect.model.merging import attention_bias

__all__ = ["AllForm", "CrossForm", "FillEmbedding", "VisibleForm", "make_form"]


class FillEmbedding(nn.Module):
    """Embeds the prior of each scale: (B, Q/2, 3, H, W) -> (B, Q/2, N, width).

    Pixels count from -2 to 2, black to white. That is in weights and bias, not in the pixels:
    pictures of all scales would be rewritten twice.
    """

    def __init__(self, config: GeneratorConfig, width: int) -> None:
        super().__init__()
        self.patches = PatchEmbed(config.size, config.patch, 3, width)

    def forward(self, fill: Tensor) -> Tensor:
        weight, bias = self.patches.proj.weight, self.patches.proj.bias
        assert bias is not None
        bias = bias - weight.sum(dim=(1, 2, 3)) * 2
        return _embed_each(lambda pixels: self._embed(pixels, weight * 4, bias), fill)

    def _embed(self, pixels: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """As `self.patches`, with these in place of its own."""
        tokens = F.conv2d(pixels, weight, bias, stride=self.patches.patch_size)
        return tokens.flatten(2).transpose(1, 2)


def _embed_each(embed: Callable[[Tensor], Tensor], fill: Tensor) -> Tensor:
    """An embedding of (B', 3, H, W) on the prior of every scale."""
    return embed(fill.flatten(0, 1)).unflatten(0, (-1, fill.shape[1]))


def _fill_embedding(config: GeneratorConfig) -> FillEmbedding | None:
    """For decoders that are given the prior, else None."""
    has_fill = config.prior is Prior.FILL
    return FillEmbedding(config, config.width_of_decoder) if has_fill else None


class _SelfAttendingForm(nn.Module):
    """What `all` and `visible` share: the decoder attends to all tokens, with the long skip."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        width = config.width_of_decoder
        self.narrow = nn.Linear(config.width, width) if width != config.width else nn.Identity()
        self.join_skip = nn.Linear(width + config.width, width)
        self.blocks = nn.ModuleList(
            SelfBlock(width, config.mlp_ratio_of_decoder) for _ in range(config.decoder_depth)
        )
        self.norm = LayerNormFp32(width)

    def place(self, pixels: Tensor, tables: MaskTables) -> Tensor:
        """Every token was decoded."""
        return pixels

    def decode(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B', N, decoder width) and the first encoder block's output (B', N, width)."""
        for block in self.blocks[:-1]:
            x, _ = block(x)
        x = self.join_skip(torch.cat([x, skip], dim=-1))
        x, _ = self.blocks[-1](x)
        out: Tensor = self.norm(x)
        return out


class AllForm(_SelfAttendingForm):
    """The paper's: all tokens go through all blocks; removed pixels are 0, or their prior."""

    def forward(
        self, encoder: Encoder, images: Tensor, fill: Tensor | None, tables: MaskTables
    ) -> Tensor:
        embedding = encoder.embedding
        tokens = embedding.embed(images).unsqueeze(1)  # (B, 1, N, D)
        instead = embedding.embed_removed()
        if fill is not None:
            instead = _embed_each(embedding.embed, fill).repeat_interleave(2, dim=1)
        removed = tables.token_removed[..., None]  # (Q, N, 1)
        tokens = torch.where(removed, instead, tokens) + embedding.position
        n, width = tokens.shape[-2:]
        protected = tables.token_removed.expand(images.shape[0], -1, -1).reshape(-1, n)
        encoded = encoder.encode(tokens.reshape(-1, n, width), protected)
        return self.decode(self.narrow(encoded.latents), encoded.first)


class VisibleForm(_SelfAttendingForm):
    """The encoder sees the visible half; the decoder sees mask tokens in the gaps."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        width = config.width_of_decoder
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(position_table(config.size // config.patch, width))
        self.fill_embedding = _fill_embedding(config)

    def forward(
        self, encoder: Encoder, images: Tensor, fill: Tensor | None, tables: MaskTables
    ) -> Tensor:
        tokens = gather_tokens(encoder.embedding(images), tables.visible)
        encoded = encoder.encode(tokens)
        x = _with_last(self.narrow(encoded.latents), self.mask_token)
        skip = _with_last(encoded.first, torch.zeros_like(encoded.first[:1, :1]))
        x = place_tokens(x, tables.place_visible) + self.position
        if self.fill_embedding is not None and fill is not None:
            prior = self.fill_embedding(fill).repeat_interleave(2, dim=1)  # (B, Q, N, D)
            x = x + (prior * tables.token_removed[..., None]).flatten(0, 1)
        return self.decode(x, place_tokens(skip, tables.place_visible))


class CrossForm(nn.Module):
    """The encoder sees the visible half; only removed tokens are decoded, and attend to it.

    The long skip: the last block attends to the first encoder block's tokens as well. Tokens
    that were merged stay merged, and count by the logarithm of their size.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        width = config.width_of_decoder
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(position_table(config.size // config.patch, width))
        self.fill_embedding = _fill_embedding(config)
        self.norm_skip = LayerNormFp32(config.width)
        self.blocks = nn.ModuleList(
            CrossBlock(width, config.width, config.mlp_ratio_of_decoder)
            for _ in range(config.decoder_depth)
        )
        self.norm = LayerNormFp32(width)

    def forward(
        self, encoder: Encoder, images: Tensor, fill: Tensor | None, tables: MaskTables
    ) -> Tensor:
        tokens = gather_tokens(encoder.embedding(images), tables.visible)
        encoded = encoder.encode(tokens)
        context = encoded.latents
        bias = _bias(encoded.sizes)
        x = self._queries(images.shape[0], fill, tables)
        for block in self.blocks[:-1]:
            x = block(x, context, bias)
        context = torch.cat([context, self.norm_skip(encoded.first)], dim=1)
        bias = _bias(encoded.sizes, encoded.first_sizes)
        out: Tensor = self.norm(self.blocks[-1](x, context, bias))
        return out

    def place(self, pixels: Tensor, tables: MaskTables) -> Tensor:
        """Removed tokens to their places, zeros between them."""
        return place_tokens(
            _with_last(pixels, torch.zeros_like(pixels[:1, :1])), tables.place_masked
        )

    def _queries(self, batch: int, fill: Tensor | None, tables: MaskTables) -> Tensor:
        """(B * Q, N/2, D): a mask token at each removed place, with its fill if there is one."""
        places = gather_tokens(self.mask_token + self.position, tables.masked.flatten(0, -2))
        if tables.masked.dim() == 2:
            places = places.expand(batch, -1, -1, -1).flatten(0, 1)
        if self.fill_embedding is None or fill is None:
            return places
        prior = self.fill_embedding(fill)  # (B, Q/2, N, D)
        scale = torch.arange(tables.n_passes, device=prior.device)[:, None] // 2
        return places + gather_tokens(prior.flatten(1, 2), tables.masked + scale * prior.shape[2])


def make_form(config: GeneratorConfig) -> AllForm | VisibleForm | CrossForm:
    """The form that the configuration names."""
    kinds: dict[Form, Callable[[GeneratorConfig], AllForm | VisibleForm | CrossForm]] = {
        Form.ALL: AllForm,
        Form.VISIBLE: VisibleForm,
        Form.CROSS: CrossForm,
    }
    return kinds[config.form](config)


def _with_last(tokens: Tensor, last: Tensor) -> Tensor:
    """Append one token, what `place_*` tables call N/2: (B', n, D), (1, 1, D) -> (B', n + 1, D)."""
    return torch.cat([tokens, last.expand(tokens.shape[0], -1, -1)], dim=1)


def _bias(*sizes: Tensor | None) -> Tensor | None:
    """Attention bias for contexts joined in this order; None where nothing was merged."""
    known = [s for s in sizes if s is not None]
    return attention_bias(torch.cat(known, dim=1)) if known else None
