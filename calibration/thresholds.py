"""Scores of good parts to a threshold for a stated false-reject rate, and how sure it is.

The last step of calibration; verdict: OK iff the score is finite and <= threshold. With n good
parts and rate p (docs/method.md):

    n >= 1/p - 1             empirical: the ceil((n + 1)(1 - p))-th smallest score. For a further
                             good part the chance to lie above it is at most p, whatever the
                             distribution (split conformal prediction, arXiv 2107.07511)
    n >= 60 and p >= 1/(4n)  tail: a generalised Pareto distribution fitted to the largest scores
                             (peaks over threshold; Hosking and Wallis, Technometrics 29, 1987)
    otherwise                refused: nothing can be said about so rare an event
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.calibration.beta import beta_cdf, beta_quantile, counted_interval
from edgeinspect.constants import Threshold
from edgeinspect.errors import CalibrationError
from edgeinspect.metrics import CONFIDENCE

__all__ = [
    "Tail",
    "check_rate",
    "fit_tail",
    "fit_threshold",
    "n_good_needed",
    "smallest_supported_rate",
]

Doubles = NDArray[np.float64]

N_TAIL = 60  # fewer parts leave fewer than 15 excesses, too few for a shape
TAIL_REACH = 4  # a tail is followed to a quarter of the rate that was seen, 1 / n
TAIL_SHARE = 0.2  # of the scores count as the tail, but
N_EXCESSES = 15  # at least this many, of fewer than 30 scores half
SHAPE_LIMIT = 0.5  # beyond it, in either direction, tens of excesses prove nothing
# The shape's estimate varies by sqrt(4/3 / excesses), that of scores of good parts by about 0.2
# about 0 (an exponential tail): it counts as much as if 33 excesses had said 0.
PRIOR_EXCESSES = 33
N_BOOTSTRAP = 1000
_LOW, _HIGH = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
_ROUNDING = 1e-9  # (n + 1)(1 - p) is meant exactly, as 95 for n = 99 and p = 0.05 + 1e-17


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Generalised Pareto distribution of what lies above `start`, a `share` of all scores."""

    start: float
    share: float
    scale: float
    shape: float

    def quantile(self, rate: float) -> float:
        """The score that a share `rate` of good parts exceeds; rate <= share."""
        ratio = self.share / rate
        if abs(self.shape) < 1e-6:
            return self.start + self.scale * math.log(ratio)
        return self.start + self.scale * math.expm1(self.shape * math.log(ratio)) / self.shape


def smallest_supported_rate(n: int) -> float:
    """The smallest false-reject rate that n good parts can say anything about."""
    return 1 / (TAIL_REACH * n) if n >= N_TAIL else 1 / (n + 1)


def n_good_needed(rate: float) -> int:
    """How many good parts support a false-reject rate."""
    empirical = math.ceil(1 / rate - 1 - _ROUNDING)
    tail = max(N_TAIL, math.ceil(1 / (TAIL_REACH * rate) - _ROUNDING))
    return max(1, min(empirical, tail))


def check_rate(n: int, rate: float, *, share: float = 1.0) -> None:
    """Raise CalibrationError if n good parts do not support the rate, or it is no rate.

    `share` is what n is of the good pictures that were given, for the hint.
    """
    if not 0 < rate <= 0.5:
        raise CalibrationError(
            f"the false-reject rate is {rate:g}: it must lie above 0 and be at most 0.5",
            hint="1 in 100 is 0.01",
        )
    if n < n_good_needed(rate):
        smallest = smallest_supported_rate(n)
        those = f"{n} good pictures" if share == 1 else f"the {n} good pictures that calibrate"
        n_needed = math.ceil(n_good_needed(rate) / share - _ROUNDING)
        raise CalibrationError(
            f"{those} cannot support a false-reject rate of {rate:g}: the smallest"
            f" they support is {smallest:.3g}",
            hint=f"give at least {n_needed} good pictures, or"
            f" --false-reject-rate {_round_up(smallest):g}",
        )


def _round_up(rate: float) -> float:
    """The next rate of two significant digits, for people to type."""
    unit = float(10 ** (math.floor(math.log10(rate)) - 1))
    return math.ceil(rate / unit - _ROUNDING) * unit


def fit_threshold(scores: Doubles, rate: float, rng: np.random.Generator) -> Threshold:
    """The threshold that a share `rate` of good parts exceeds.

    Args:
        scores: (n,), finite, by constants that have not seen the parts.
        rng: for the bootstrap of the intervals.
    Raises: CalibrationError if n does not support the rate.
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    n = len(ordered)
    check_rate(n, rate)
    assert np.isfinite(ordered).all(), "a score of a good part is not finite"
    rank = _conformal_rank(n, rate)
    make = _empirical if rank <= n else _from_tail
    return make(ordered, rate, rng)


def _conformal_rank(n: int, rate: float) -> int:
    """Which of n scores in order, from 1, is the threshold; n + 1 if none is large enough."""
    return math.ceil((n + 1) * (1 - rate) - _ROUNDING)


def _empirical(ordered: Doubles, rate: float, rng: np.random.Generator) -> Threshold:
    n = len(ordered)
    rank = _conformal_rank(n, rate)
    low, high = _quantile_interval(ordered, rate, rng)
    value = float(ordered[rank - 1])
    a, b = n + 1 - rank, rank  # the rate above the rank-th score is Beta(a, b)
    return Threshold(
        value=value,
        false_reject_rate=rate,
        interval=(min(low, value), max(high, value)),
        rate_interval=(beta_quantile(_LOW, a, b), beta_quantile(_HIGH, a, b)),
        method="empirical",
        n_good=n,
    )


def _quantile_interval(
    ordered: Doubles, rate: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Interval of the score that a share `rate` exceeds, from two scores in order.

    Where no score is surely above it (few parts, small rate), the upper end is that of the
    bootstrapped tail; the largest score would claim a certainty that is not there.
    """
    n = len(ordered)
    below = [_n_below_cdf(k, n, rate) for k in range(n + 1)]
    low = next((k for k in range(n, 0, -1) if below[k - 1] <= _LOW), 0)
    high = next((k for k in range(1, n + 1) if below[k - 1] >= _HIGH), n + 1)
    lower = float(ordered[max(low, 1) - 1])
    if high <= n:
        return lower, float(ordered[high - 1])
    return lower, _bootstrap(ordered, lambda tail: tail.quantile(min(rate, tail.share)), rng)[1]


def _n_below_cdf(k: int, n: int, rate: float) -> float:
    """Chance that at most k of n scores lie below the true threshold (a binomial)."""
    return 1.0 if k >= n else beta_cdf(rate, n - k, k + 1)


def _from_tail(ordered: Doubles, rate: float, rng: np.random.Generator) -> Threshold:
    """A threshold from the tail of scores (n,) in rising order.

    What lies beyond all scores the tail only guesses: the interval of the rate is that of a count
    of scores above the threshold, and does not come from resampled tails.
    """
    n = len(ordered)
    value = fit_tail(ordered).quantile(rate)
    low, high = _bootstrap(ordered, lambda tail: tail.quantile(rate), rng)
    return Threshold(
        value=value,
        false_reject_rate=rate,
        interval=(min(low, value), max(high, value)),
        rate_interval=counted_interval(int((ordered > value).sum()), n),
        method="tail",
        n_good=n,
    )


def fit_tail(ordered: Doubles) -> Tail:
    """Tail of scores (n,) in rising order, by probability-weighted moments.

    With mean excess a0 and a1 = mean of excess * (1 - its rank): shape = 2 - a0 / (a0 - 2 a1),
    drawn towards 0 (PRIOR_EXCESSES), scale = a0 (1 - shape). Then 1 / excesses is added to the
    shape: of an exponential tail whose scale was estimated, a further part exceeds the quantile
    at just the rate asked for, on average over samples.
    """
    n = len(ordered)
    count = min(n - 1, max(math.ceil(TAIL_SHARE * n), min(N_EXCESSES, n // 2)))
    start = float(ordered[n - count - 1])
    excesses = ordered[n - count :] - start
    positions = (np.arange(1, count + 1) - 0.35) / count
    a0 = float(excesses.mean())
    a1 = float((excesses * (1 - positions)).mean())
    shape = 2 - a0 / (a0 - 2 * a1) if a0 > 2 * a1 else 0.0
    shape = min(max(shape, -SHAPE_LIMIT), SHAPE_LIMIT) * count / (count + PRIOR_EXCESSES)
    return Tail(start=start, share=count / n, scale=a0 * (1 - shape), shape=shape + 1 / count)


def _bootstrap(
    ordered: Doubles, estimate: Callable[[Tail], float], rng: np.random.Generator
) -> tuple[float, float]:
    """95 % percentile interval of what the tails of resampled scores say."""
    n = len(ordered)
    picks = np.sort(rng.integers(0, n, (N_BOOTSTRAP, n)), axis=1)
    values = [estimate(fit_tail(ordered[pick])) for pick in picks]
    low, high = np.quantile(values, [_LOW, _HIGH])
    return float(low), float(high)
