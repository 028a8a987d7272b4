"""Token merging (ToMe): like tokens become their size-weighted mean (arXiv 2210.09461).

A merge is a matrix: row m of `merge_matrix` says which tokens form merged token m. Applying it,
undoing it and counting sizes are then matrix products, and the same formulation serves training,
ONNX and TensorRT: TopK with a constant K, gathers, one-hot rows; no scatter, no dynamic shape.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["attention_bias", "merge_matrix", "merge_tokens", "unmerge_tokens"]

NEVER = -4.0  # below any cosine
LEAST_NORM = 1e-4  # of a key; FP16 holds it


def merge_matrix(keys: Tensor, r: int, protected: Tensor | None = None) -> Tensor:
    """Choose r pairs by bipartite soft matching on the attention's keys.

    Even tokens are matched with odd ones: every even token proposes its most similar odd token
    (cosine), and the r best proposals are merged. Unmerged even tokens come first in the result,
    most similar first, then the odd ones in order.

    Args:
        keys: (B, N, C).
        r: number of tokens to merge away, at most N // 2.
        protected: (B, N) bool, tokens that are neither merged away nor merged into.
    Returns: (B, N - r, N), ones and zeros; each column sums to 1.
    """
    _batch, n, _ = keys.shape
    unit = F.normalize(keys, dim=-1, eps=LEAST_NORM)
    similarity = unit[:, 0::2] @ unit[:, 1::2].mT  # (B, Na, Nb)
    if protected is not None:
        either = protected[:, 0::2, None] | protected[:, None, 1::2]
        similarity = similarity.masked_fill(either, NEVER)
    best, partner = similarity.max(dim=-1)
    n_even, n_odd = similarity.shape[1:]
    order = best.topk(n_even, dim=-1).indices
    merged, kept = order[:, :r], order[:, r:]
    even_rows = torch.eye(n, device=keys.device, dtype=keys.dtype)[0::2]
    odd_rows = torch.eye(n, device=keys.device, dtype=keys.dtype)[1::2]
    into = F.embedding(partner.gather(1, merged), torch.eye(n_odd).to(keys))  # (B, r, Nb)
    gained = into.mT @ F.embedding(merged, even_rows)  # (B, Nb, N)
    return torch.cat([F.embedding(kept, even_rows), odd_rows + gained], dim=1)


def merge_tokens(matrix: Tensor, tokens: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Means of the merged tokens, weighted by how many patches each stands for.

    Args:
        matrix: (B, M, N). tokens: (B, N, D). sizes: (B, N, 1).
    Returns: tokens (B, M, D) and sizes (B, M, 1).
    """
    new_sizes = matrix @ sizes
    return (matrix @ (tokens * sizes)) / new_sizes, new_sizes


def unmerge_tokens(matrix: Tensor, tokens: Tensor) -> Tensor:
    """Give each of the N tokens what became of it: (B, M, D) -> (B, N, D)."""
    return matrix.mT @ tokens


def attention_bias(sizes: Tensor) -> Tensor:
    """log(size) of each key, for the logits: (B, N, 1) -> (B, 1, 1, N)."""
    return sizes.log().mT.unsqueeze(1)
