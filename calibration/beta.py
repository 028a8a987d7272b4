"""Quantiles of the beta distribution: how sure a rate is that was counted on n parts.

For the intervals of `thresholds`, and of the shares that `evaluate` counts. The base install has
no SciPy, so the regularised incomplete beta function is computed here: continued fraction by
Lentz's method (Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.5.8), inverted by
bisection.
"""

from __future__ import annotations

import math

from edgeinspect.metrics import CONFIDENCE

__all__ = ["beta_cdf", "beta_quantile", "counted_interval"]

_TINY = 1e-300
_PRECISION = 1e-15
_MAX_TERMS = 10_000
_BISECTIONS = 200


def beta_cdf(x: float, a: float, b: float) -> float:
    """Probability that a Beta(a, b) variable is at most x; a, b > 0."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # there the fraction of the mirrored function converges
        return 1 - beta_cdf(1 - x, b, a)
    log_front = a * math.log(x) + b * math.log1p(-x) - math.log(a)
    log_front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(log_front) / _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)) of 26.5.8."""
    value, upper, lower = 1.0, 1.0, 0.0
    for term in range(1, _MAX_TERMS):
        m = term // 2
        if term % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1 / _away_from_zero(1 + d * lower)
        upper = _away_from_zero(1 + d / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < _PRECISION:
            return value
    raise AssertionError(f"no convergence for x = {x}, a = {a}, b = {b}")


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The x that a Beta(a, b) variable stays at or below with this probability."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if beta_cdf(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def counted_interval(n_hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share, of which `n_hits` of n >= 1 were counted (Clopper, Pearson 1934).

    Resampling would call none of three as sure as none of a thousand.
    """
    tail = (1 - CONFIDENCE) / 2
    low = beta_quantile(tail, n_hits, n - n_hits + 1) if n_hits else 0.0
    high = beta_quantile(1 - tail, n_hits + 1, n - n_hits) if n_hits < n else 1.0
    return low, high
