"""How statistics become scores, a scale and a map: `paper`, `peak` and `mahalanobis`.

The last step. All three scores are computed, the one-hot `rule` selects the one that counts,
so that a bundle changes its rule without a new graph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edgeinspect.config import Rule

__all__ = ["Decision", "decide", "global_score", "local_score"]

_RULES = list(Rule)


class Decision(NamedTuple):
    """What the rules say about B images.

    Attributes:
        score, local_score, global_score: (B,); `score` is the one that the verdict uses.
        scale: (B,), int32, the mask scale that stands out most.
        picked: (B,), int64, whose map is shown: measure * I + scale.
    """

    score: Tensor
    local_score: Tensor
    global_score: Tensor
    scale: Tensor
    picked: Tensor


def decide(
    statistics: Tensor,
    *,
    n_measures: int,
    n_placed: int,
    n_scales: int,
    mean_index: int,
    stat_mean: Tensor,
    stat_inv_std: Tensor,
    stat_weight: Tensor,
    precision: Tensor,
    rule: Tensor,
) -> Decision:
    """Apply all rules; scale and map come from eq. 8 under `paper`, else from the peak.

    A statistic that is not finite makes every score of its image NaN, whatever its weight.

    Args:
        statistics: (B, S), S = K * I * n, ordered as by `map_statistics`.
        n_placed: measures, the first of K, whose maps say where; only these are picked.
        mean_index: which of a map's n statistics is the mean.
        stat_mean, stat_inv_std, stat_weight: (S,). precision: (S, S).
        rule: (3,), one-hot in the order of `config.Rule`.
    """
    n_maps = n_measures * n_scales
    n_each = statistics.shape[1] // n_maps
    by_map = (n_measures, n_scales, n_each)
    z = (statistics - stat_mean) * stat_inv_std
    means = (statistics - stat_mean).reshape(-1, *by_map)[:, 0, :, mean_index]  # (B, I)
    paper_scale = means.argmax(dim=1)
    poison = statistics.sum(dim=1) * 0  # 0, or NaN where a statistic is not finite
    local = local_score(z, stat_weight) + poison
    distance = global_score(z, precision) + poison
    paper = _paper_score(statistics, stat_weight, paper_scale, by_map) + poison
    scores = torch.stack([paper, local, distance], dim=1)
    # A product would turn the infinities of rules that do not count into NaN.
    score = torch.where(rule > 0, scores, torch.zeros_like(scores)).sum(dim=1)

    index = torch.arange(n_maps * n_each, device=z.device)
    n_shown = n_placed * n_scales * n_each
    peak = _weighted(z[:, :n_shown], stat_weight[:n_shown]).argmax(dim=1)
    peak_map = (index // n_each).index_select(0, peak)
    chosen = torch.where(rule[_RULES.index(Rule.PAPER)] > 0, paper_scale, peak_map)
    scale_of_map = (index[:n_maps] % n_scales).int()
    return Decision(
        score=score,
        local_score=local,
        global_score=distance,
        scale=scale_of_map.index_select(0, chosen),
        picked=chosen,
    )


def local_score(z: Tensor, stat_weight: Tensor) -> Tensor:
    """The largest weighted z of those with a weight: (B,); -inf if none has one.

    Below 0 a weight counts z both ways.
    """
    return _weighted(z, stat_weight).amax(dim=1)


def global_score(z: Tensor, precision: Tensor) -> Tensor:
    """The Mahalanobis distance sqrt(|z' P z|), as products and sums: (B,).

    The size, since rounding can leave z' P z a little below 0. Not the larger of it and 0:
    where sums overflow to no number, some engines answer 0 to that, the best of all scores.
    """
    quadratic = ((z[:, :, None] * precision).sum(dim=1) * z).sum(dim=1)
    return quadratic.abs().sqrt()


def _paper_score(
    statistics: Tensor, stat_weight: Tensor, scale: Tensor, by_map: tuple[int, int, int]
) -> Tensor:
    """The weighted mean of the chosen scale's statistics (eq. 9): (B,); 0 without weights.

    Args:
        scale: (B,), int64, f of eq. 8. by_map: (K, I, statistics of a map), how S is laid out.
    """
    weight = stat_weight.reshape(by_map)
    sums = (statistics.reshape(-1, *by_map) * weight).sum(dim=(1, 3))  # (B, I)
    totals = weight.sum(dim=(0, 2))  # (I,)
    means = sums / torch.where(totals > 0, totals, torch.ones_like(totals))
    is_chosen = torch.eye(by_map[1], device=means.device).index_select(0, scale)
    return (means * is_chosen).sum(dim=1)


def _weighted(z: Tensor, stat_weight: Tensor) -> Tensor:
    """As `constants.weighted`."""
    product = z * stat_weight
    otherwise = torch.where(stat_weight < 0, product.abs(), torch.full_like(z, -torch.inf))
    return torch.where(stat_weight > 0, product, otherwise)
