"""Warm-up until stable, then interleaved rounds of everything that is compared.

A round calls each case a few times, in an order drawn anew, so that whatever else the machine does
hits all of them alike. Cases that are fast are called more often in a round.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.progress import OnProgress, no_progress

__all__ = ["Case", "Rounds", "WarmUp", "measure_rounds", "warm_up"]

SEED = 0
WINDOW = 3  # calls whose median is compared with that of the calls before
STABLE_WITHIN = 0.05
LONGEST_WARM_UP_S = 5.0
ROUND_S = 0.1  # of one case in one round, unless a single call takes longer
MOST_CALLS = 50  # of one case in one round

Run = Callable[[], object]
Clock = Callable[[], float]
Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that is timed: a call for `batch` images."""

    name: str
    batch: int
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """How warming up went; without `is_stable` the time for it was over first."""

    n_calls: int
    is_stable: bool
    last_ms: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rounds:
    """Times of one case: (rounds, calls), milliseconds a call."""

    case: Case
    warm_up: WarmUp
    times_ms: Times

    @property
    def medians_ms(self) -> Times:
        """(rounds,)."""
        medians: Times = np.median(self.times_ms, axis=1)
        return medians


def warm_up(
    run: Run, *, longest_s: float = LONGEST_WARM_UP_S, clock: Clock | None = None
) -> WarmUp:
    """Call until the last calls take as long as those before, for `longest_s` at most."""
    clock = clock or time.perf_counter
    times: list[float] = []
    begin = clock()
    while True:
        start = clock()
        run()
        times.append(1e3 * (clock() - start))
        if len(times) >= 2 * WINDOW:
            before = float(np.median(times[-2 * WINDOW : -WINDOW]))
            last = float(np.median(times[-WINDOW:]))
            if abs(last - before) <= STABLE_WITHIN * before:
                return WarmUp(n_calls=len(times), is_stable=True, last_ms=last)
        if len(times) >= 2 and clock() - begin >= longest_s:
            return WarmUp(n_calls=len(times), is_stable=False, last_ms=times[-1])


def measure_rounds(
    cases: Sequence[Case],
    n_rounds: int,
    *,
    on_round: Run | None = None,
    on_progress: OnProgress = no_progress,
) -> list[Rounds]:
    """Warm all cases up, then time them in interleaved rounds.

    Args:
        on_round: called after each round, such as to look at clocks and temperatures.
    """
    warm_ups = []
    for i, case in enumerate(cases):
        warm_ups.append(warm_up(case.run))
        on_progress("warming up", i + 1, len(cases))
    n_calls = [_calls_in_a_round(warm.last_ms) for warm in warm_ups]
    times = [np.empty((n_rounds, n)) for n in n_calls]
    rng = np.random.default_rng(SEED)
    for i in range(n_rounds):
        for k in rng.permutation(len(cases)):
            times[k][i] = _timed(cases[k].run, n_calls[k])
        if on_round is not None:
            on_round()
        on_progress("measuring", i + 1, n_rounds)
    return [
        Rounds(case=case, warm_up=warm, times_ms=found)
        for case, warm, found in zip(cases, warm_ups, times, strict=True)
    ]


def _calls_in_a_round(call_ms: float) -> int:
    return max(1, min(MOST_CALLS, math.ceil(ROUND_S * 1e3 / max(call_ms, 1e-3))))


def _timed(run: Run, n_calls: int) -> Times:
    """Milliseconds of each call; where calls are short, one before them meets the cold caches."""
    if n_calls > 1:
        run()
    times = np.empty(n_calls)
    for i in range(n_calls):
        start = time.perf_counter()
        run()
        times[i] = 1e3 * (time.perf_counter() - start)
    return times
