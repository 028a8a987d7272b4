"""Block masks: what each of the masked passes removes, as pixels and as token tables.

First step of the model. A scale's mask is a checkerboard of square blocks, its complement the
other half, so every patch is removed in exactly one of the two (paper, section 2.2). Everything
here is a constant of the graph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgeinspect.config import GeneratorConfig

__all__ = [
    "BlockMasks",
    "MaskTables",
    "block_masks",
    "gather_tokens",
    "place_tokens",
    "token_masks",
]


def token_masks(n_side: int, mask_scales: tuple[int, ...]) -> Tensor:
    """Which tokens each pass removes: (I, 2, N) bool for a grid of n_side x n_side tokens."""
    rows = torch.arange(n_side)[:, None]
    columns = torch.arange(n_side)[None, :]
    first = torch.stack([(rows // b + columns // b) % 2 == 0 for b in mask_scales]).flatten(1)
    return torch.stack([first, ~first], dim=1)


def block_masks(config: GeneratorConfig) -> Tensor:
    """M_ij of eq. 6: (I, 2, H, W) float, 1 where the picture is removed and reconstructed."""
    n_side = config.size // config.patch
    tokens = token_masks(n_side, config.mask_scales).unflatten(-1, (n_side, n_side))
    pixels = tokens.repeat_interleave(config.patch, -2).repeat_interleave(config.patch, -1)
    return pixels.float()


class MaskTables(NamedTuple):
    """The masks of Q passes, as the forms read them. Q is n_passes, or 2 in training.

    Attributes (leading axes `Q`, or `B, Q` where each image has passes of its own):
        removed: (..., 1, H, W) float, 1 where the pass removed the image.
        token_removed: (..., N) bool, the same by token.
        visible, masked: (..., N/2) int, token numbers in reading order.
        place_visible, place_masked: (..., N) int, for each token its place in `visible` or
            `masked`; N/2 where it is not in there.
    """

    removed: Tensor
    token_removed: Tensor
    visible: Tensor
    masked: Tensor
    place_visible: Tensor
    place_masked: Tensor

    @property
    def n_passes(self) -> int:
        return self.visible.shape[-2]


class BlockMasks(nn.Module):
    """Holds the constant tables; pass p = 2 * scale + complement."""

    removed: Tensor
    token_removed: Tensor
    visible: Tensor
    masked: Tensor
    place_visible: Tensor
    place_masked: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        removed = token_masks(config.size // config.patch, config.mask_scales).flatten(0, 1)
        masked = _positions(removed)
        visible = _positions(~removed)
        tables = MaskTables(
            removed=block_masks(config).flatten(0, 1)[:, None],
            token_removed=removed,
            visible=visible,
            masked=masked,
            place_visible=_places(visible, config.n_tokens),
            place_masked=_places(masked, config.n_tokens),
        )
        for name, table in tables._asdict().items():
            self.register_buffer(name, table, persistent=False)

    def tables(self, passes: Tensor | None = None) -> MaskTables:
        """All passes for every image, or the given ones: (B, Q) int, one row an image."""
        tables: list[Tensor] = [getattr(self, name) for name in MaskTables._fields]
        return MaskTables(*(tables if passes is None else [table[passes] for table in tables]))


def gather_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Tokens by number, for Q passes over one image.

    Args:
        tokens: (B, n, D).
        index: (Q, k), the same for all images (a static Gather), or (B, Q, k).
    Returns: (B * Q, k, D).
    """
    k, width = index.shape[-1], tokens.shape[-1]
    if index.dim() == 2:
        return tokens.index_select(1, index.flatten()).reshape(-1, k, width)
    return torch.take_along_dim(tokens, index.flatten(1)[..., None], 1).reshape(-1, k, width)


def place_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Tokens by number within each pass: (B * Q, n, D), index as above -> (B * Q, k, D)."""
    n_passes, (_, n, width) = index.shape[-2], tokens.shape
    offsets = torch.arange(n_passes, device=index.device)[:, None] * n
    return gather_tokens(tokens.reshape(-1, n_passes * n, width), index + offsets)


def _positions(chosen: Tensor) -> Tensor:
    """(P, N) bool with N/2 true in each row -> (P, N/2) their numbers."""
    return torch.stack([row.nonzero().flatten() for row in chosen])


def _places(index: Tensor, n_tokens: int) -> Tensor:
    """The inverse of `index`: (P, N/2) -> (P, N), N/2 for tokens that are not in it."""
    n_passes, half = index.shape
    places = torch.full((n_passes, n_tokens), half)
    return places.scatter(1, index, torch.arange(half).expand(n_passes, half))
