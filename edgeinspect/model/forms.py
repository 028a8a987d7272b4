"""The three forms of the generator: which tokens are encoded, and which are decoded.

Each form turns the tokens of an image into the pixels of its removed tokens, for all passes as
one batch. They share one interface, so that training, scoring and export know no form:

    form(encoder, images, tables) -> (B * Q, N, D), decoded tokens in every place

Places that a form does not compute hold zeros; fusion never reads them (eq. 6).
"""

from __future__ import annotations

import torch
from timm.layers import LayerNormFp32
from torch import Tensor, nn

from edgeinspect.config import Form, GeneratorConfig
from edgeinspect.model.blocks import CrossBlock, SelfBlock, position_table
from edgeinspect.model.encoder import Encoder
from edgeinspect.model.masks import MaskTables, gather_tokens, place_tokens
from edgeinspect.model.merging import attention_bias

__all__ = ["AllForm", "CrossForm", "VisibleForm", "make_form"]


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

    def decode(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B', N, decoder width) and the first encoder block's output (B', N, width)."""
        for block in self.blocks[:-1]:
            x, _ = block(x)
        x = self.join_skip(torch.cat([x, skip], dim=-1))
        x, _ = self.blocks[-1](x)
        out: Tensor = self.norm(x)
        return out


class AllForm(_SelfAttendingForm):
    """The paper's: removed pixels are 0, and all tokens go through all blocks."""

    def forward(self, encoder: Encoder, images: Tensor, tables: MaskTables) -> Tensor:
        embedding = encoder.embedding
        tokens = embedding.embed(images).unsqueeze(1)  # (B, 1, N, D)
        removed = tables.token_removed[..., None]  # (Q, N, 1)
        tokens = torch.where(removed, embedding.embed_removed(), tokens) + embedding.position
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

    def forward(self, encoder: Encoder, images: Tensor, tables: MaskTables) -> Tensor:
        tokens = gather_tokens(encoder.embedding(images), tables.visible)
        encoded = encoder.encode(tokens)
        x = _with_last(self.narrow(encoded.latents), self.mask_token)
        skip = _with_last(encoded.first, torch.zeros_like(encoded.first[:1, :1]))
        x = place_tokens(x, tables.place_visible) + self.position
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
        self.norm_skip = LayerNormFp32(config.width)
        self.blocks = nn.ModuleList(
            CrossBlock(width, config.width, config.mlp_ratio_of_decoder)
            for _ in range(config.decoder_depth)
        )
        self.norm = LayerNormFp32(width)

    def forward(self, encoder: Encoder, images: Tensor, tables: MaskTables) -> Tensor:
        tokens = gather_tokens(encoder.embedding(images), tables.visible)
        encoded = encoder.encode(tokens)
        context = encoded.latents
        bias = _bias(encoded.sizes)
        queries = gather_tokens(self.mask_token + self.position, tables.masked.flatten(0, -2))
        x = queries if tables.masked.dim() == 3 else queries.repeat(images.shape[0], 1, 1)
        for block in self.blocks[:-1]:
            x = block(x, context, bias)
        context = torch.cat([context, self.norm_skip(encoded.first)], dim=1)
        bias = _bias(encoded.sizes, encoded.first_sizes)
        x = self.norm(self.blocks[-1](x, context, bias))
        return place_tokens(_with_last(x, torch.zeros_like(x[:1, :1])), tables.place_masked)


def make_form(config: GeneratorConfig) -> AllForm | VisibleForm | CrossForm:
    """The form that the configuration names."""
    kinds = {Form.ALL: AllForm, Form.VISIBLE: VisibleForm, Form.CROSS: CrossForm}
    form: AllForm | VisibleForm | CrossForm = kinds[config.form](config)
    return form


def _with_last(tokens: Tensor, last: Tensor) -> Tensor:
    """Append one token, what `place_*` tables call N/2: (B', n, D), (1, 1, D) -> (B', n + 1, D)."""
    return torch.cat([tokens, last.expand(tokens.shape[0], -1, -1)], dim=1)


def _bias(*sizes: Tensor | None) -> Tensor | None:
    """Attention bias for contexts joined in this order; None where nothing was merged."""
    known = [s for s in sizes if s is not None]
    return attention_bias(torch.cat(known, dim=1)) if known else None
