"""Images for which two maps are equally good: rounding may pick either for `scale` and map.

Parity leaves their maps out where the other was picked. How maps are picked: `scoring.rules`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import Rule
from edgeinspect.constants import RuleConstants

__all__ = ["find_ties", "picks_by_mean"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def picks_by_mean(constants: RuleConstants) -> bool:
    """Whether maps are picked by eq. 8 (rule `paper`), which settles the score as well."""
    return bool(constants.rule[list(Rule).index(Rule.PAPER)])


def find_ties(
    statistics: Floats, constants: RuleConstants, share: float, *, n_placed: int, mean_index: int
) -> NDArray[np.bool_]:
    """Which images (B,) have two best maps that differ by at most `share`.

    Of the larger peak; under `paper` of the larger mean error, to which rounding is in proportion
    (what eq. 8 subtracts from it is as large).

    Args:
        statistics: (B, S). n_placed: measures whose maps are picked from.
        mean_index: which statistic of a map is the mean.
    """
    n_measures, n_scales = constants.map_mean.shape[1:3]
    by_map = (len(statistics), n_measures * n_scales, -1)
    if picks_by_mean(constants):
        means = statistics.astype(np.float64).reshape(by_map)[:, :n_scales, mean_index]
        usual = constants.stat_mean.reshape(by_map[1:])[:n_scales, mean_index]
        return _ties(means - usual, means, share)
    peaks = constants.peaks(statistics).reshape(by_map).max(axis=2)[:, : n_placed * n_scales]
    return _ties(peaks, peaks, share)


def _ties(values: Doubles, sizes: Doubles, share: float) -> NDArray[np.bool_]:
    """Whether the two largest values (B, n) of a row differ by a share of the larger size."""
    if values.shape[1] == 1:
        return np.zeros(len(values), np.bool_)
    best = np.argsort(values, axis=1)[:, -2:]
    second, first = np.take_along_axis(values, best, axis=1).T
    largest = np.abs(np.take_along_axis(sizes, best, axis=1)).max(axis=1)
    is_tie: NDArray[np.bool_] = first - second <= share * largest
    return is_tie
