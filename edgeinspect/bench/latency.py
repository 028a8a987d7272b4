"""What a series of times says: percentiles, spread, and ratios with their interval.

A ratio compares medians of rounds, in pairs: both variants of a round met the same machine, so
drift hits both alike. Its interval is a bootstrap over rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Latency", "Ratio", "median_ratio", "unpaired_ratio"]

N_BOOTSTRAP = 2000
SEED = 0
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles of n times in milliseconds; `cv` is standard deviation / mean of the rounds."""

    n: int
    min_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    cv: float

    @classmethod
    def of(cls, times_ms: ArrayLike) -> Latency:
        """Times (rounds, calls), or (calls,) of one round each."""
        times = np.atleast_2d(np.asarray(times_ms, np.float64).T).T  # (rounds, calls)
        p50, p90, p95, p99 = (float(p) for p in np.percentile(times, [50, 90, 95, 99]))
        rounds = np.median(times, axis=1)
        return cls(
            n=times.size,
            min_ms=float(times.min()),
            p50_ms=p50,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            max_ms=float(times.max()),
            cv=float(rounds.std() / rounds.mean()),
        )

    def images_per_s(self, batch: int) -> float:
        """Images a second at the median, one call after the other."""
        return 1e3 * batch / self.p50_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio of medians with the 95 % interval of the bootstrap."""

    value: float
    low: float
    high: float


def median_ratio(first: ArrayLike, second: ArrayLike) -> Ratio:
    """Median of `first` : median of `second`, both (rounds,), resampled in pairs."""
    return _ratio(first, second, is_paired=True)


def unpaired_ratio(first: ArrayLike, second: ArrayLike) -> Ratio:
    """The same for rounds that were not measured together, such as in two reports."""
    return _ratio(first, second, is_paired=False)


def _ratio(first: ArrayLike, second: ArrayLike, *, is_paired: bool) -> Ratio:
    one, other = (np.asarray(values, np.float64) for values in (first, second))
    assert one.ndim == other.ndim == 1, (one.shape, other.shape)
    rng = np.random.default_rng(SEED)
    picks = rng.integers(0, len(one), (N_BOOTSTRAP, len(one)))
    others = picks if is_paired else rng.integers(0, len(other), (N_BOOTSTRAP, len(other)))
    ratios = np.median(one[picks], axis=1) / np.median(other[others], axis=1)
    low, high = np.percentile(ratios, INTERVAL)
    value = float(np.median(one) / np.median(other))
    return Ratio(value=value, low=float(low), high=float(high))
