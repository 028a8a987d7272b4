"""Two ways to compute the same, against each other: what a change is worth on this box."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgeinspect.bench.latency import median_ratio
from edgeinspect.bench.measuring import Case, measure_rounds
from edgeinspect.calibration.int8 import Speedup

__all__ = ["race"]

N_ROUNDS = 20


def race(first: Callable[[], object], second: Callable[[], object]) -> Speedup:
    """Time a call of `first` : of `second`: the median over interleaved rounds of their ratio.

    Both calls of a round meet the same machine, so a busy one hardly moves their ratio.
    """
    cases = [Case(name="first", batch=1, run=first), Case(name="second", batch=1, run=second)]
    one, other = measure_rounds(cases, N_ROUNDS)
    by_round = one.medians_ms / other.medians_ms
    ratio = median_ratio(by_round, np.ones(N_ROUNDS))
    return Speedup(value=ratio.value, low=ratio.low, high=ratio.high)
