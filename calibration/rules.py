"""Statistics to scores: z, the peak, the Mahalanobis distance, and the paper's rule (eq. 8, 9).

The scoring equations in NumPy, the last step before the threshold. The peak and the distance are
always computed and reported as local and global score; `rule` says which of the three scores
the verdict uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeinspect.calibration.shrinkage import shrunk_precision
from edgeinspect.config import ScoringConfig
from edgeinspect.constants import RuleConstants, weighted

__all__ = ["StatisticConstants", "TileScores", "fit_statistics", "score"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

# Floors of a statistic's spread over good images: a hundredth of its size, and a number far
# below one grey level, so that a statistic that never varied does not divide by 0.
SPREAD_FLOOR_SHARE = 0.01
SPREAD_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StatisticConstants:
    """The fields of `RuleConstants` that have no pixels."""

    stat_mean: Floats
    stat_inv_std: Floats
    stat_weight: Floats
    precision: Floats
    rule: Floats


class TileScores(NamedTuple):
    """Scores of n images, (n,) each.

    `scale` is the mask scale and `winner` the statistic (0 to S - 1) that the anomaly map belongs
    to: `winner // len(config.statistics)` is its map, counted measure by measure, then scale. Maps
    that say where are shown alone.
    """

    local: Doubles
    global_: Doubles
    paper: Doubles
    score: Doubles
    scale: NDArray[np.int32]
    winner: NDArray[np.int64]


def fit_statistics(statistics: Floats, weight: Floats, rule: Floats) -> StatisticConstants:
    """The constants that statistics (n, S) of good images give; weight and rule go through."""
    exact = statistics.astype(np.float64)
    mean = exact.mean(axis=0)
    floor = np.maximum(SPREAD_FLOOR_SHARE * np.abs(mean), SPREAD_FLOOR)
    spread = np.maximum(exact.std(axis=0, ddof=min(1, len(exact) - 1)), floor)
    return StatisticConstants(
        stat_mean=mean.astype(np.float32),
        stat_inv_std=(1 / spread).astype(np.float32),
        stat_weight=weight,
        precision=shrunk_precision((exact - mean) / spread).astype(np.float32),
        rule=rule,
    )


def score(
    statistics: Floats,
    constants: StatisticConstants | RuleConstants,
    config: ScoringConfig,
    n_scales: int,
) -> TileScores:
    """Scores of n images from their statistics (n, S).

    z = (statistics - stat_mean) * stat_inv_std
    local = largest of z by stat_weight, see `constants.weighted`
    global = sqrt(|z^T precision z|)
    paper: see `_paper`
    score = rule . (paper, local, global)
    """
    exact = statistics.astype(np.float64)
    z = (exact - constants.stat_mean) * constants.stat_inv_std
    peaks = weighted(z, constants.stat_weight)
    distance = np.sqrt(np.abs(np.einsum("ns,st,nt->n", z, constants.precision, z)))
    paper, paper_winner = _paper(exact, constants, config, n_scales)
    local = peaks.max(axis=1)
    n_shown = config.n_placed * n_scales * len(config.statistics)
    winner = paper_winner if constants.rule[0] else peaks[:, :n_shown].argmax(axis=1)
    return TileScores(
        local=local,
        global_=distance,
        paper=paper,
        score=np.stack([paper, local, distance], axis=1) @ constants.rule.astype(np.float64),
        scale=((winner // len(config.statistics)) % n_scales).astype(np.int32),
        winner=winner,
    )


def _paper(
    statistics: Doubles,
    constants: StatisticConstants | RuleConstants,
    config: ScoringConfig,
    n_scales: int,
) -> tuple[Doubles, NDArray[np.int64]]:
    """Score (n,) of the paper's rule, and the statistic (n,) that it is read from.

    f = the scale where the mean error of the first measure exceeds its usual value most (eq. 8);
    the score is the weighted mean of that scale's selected statistics. 0 if none is selected.
    """
    n_each = len(config.statistics)
    n, size = statistics.shape
    by_map = (size // (n_scales * n_each), n_scales, n_each)
    means = (statistics - constants.stat_mean).reshape(n, *by_map)
    f = means[:, 0, :, config.mean_index].argmax(axis=1)
    weight = constants.stat_weight.astype(np.float64).reshape(by_map).transpose(1, 0, 2)[f]
    values = statistics.reshape(n, *by_map).transpose(0, 2, 1, 3)[np.arange(n), f]
    total = weight.sum(axis=(1, 2))
    paper = (weight * values).sum(axis=(1, 2)) / np.where(total > 0, total, 1)
    return paper, f * n_each + weight[:, 0].argmax(axis=1)
