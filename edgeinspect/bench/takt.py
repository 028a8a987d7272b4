"""How many parts a minute a line may run, from measured times and a deadline.

Parts come at even intervals, wait until their batch is full, then until the batch before is done,
and are ready when their own batch is. The times of batches are drawn from those measured: anew, as
if they had been measured again, several times over, and what holds in nearly all of these is told.
A line is never planned nearer to what the box can do at all than `MOST_LOAD`: there the least that
was not measured, such as a mean that is 2 % higher, lets parts queue without end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeinspect.calibration.beta import beta_quantile

__all__ = ["MOST_LOAD", "Takt", "fastest_takt", "miss_at_most", "miss_share"]

N_BATCHES = 4000  # simulated at each rate
N_AGAIN = 20  # measurements that are drawn from the one
SEED = 0
CONFIDENCE = 0.95
MOST_LOAD = 0.9  # of the rate at which nothing would ever wait
LOADS = np.linspace(0.02, MOST_LOAD, 89)

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Takt:
    """A rate, and the share of parts that miss the deadline at it, at most."""

    parts_per_minute: float
    miss_share: float


def miss_share(
    calls_ms: ArrayLike, *, n_parts: int, deadline_ms: float, parts_per_minute: float
) -> float:
    """The share of parts, 0 to 1, that miss the deadline at this rate, as its 95 % upper bound.

    1 beyond `MOST_LOAD`. Slow times that were never measured are not in it, see `miss_at_most`.

    Args:
        calls_ms: (n,), measured times of batches of `n_parts` parts, end to end.
    """
    services, load = _measured_again(calls_ms), parts_per_minute / _full_rate(calls_ms, n_parts)
    if load > MOST_LOAD + 1e-9:
        return 1.0
    return _miss_share(services, n_parts, deadline_ms, parts_per_minute)


def _measured_again(calls_ms: ArrayLike) -> Times:
    """(N_AGAIN, N_BATCHES) times: in each row from one resample of the measured ones."""
    times = np.asarray(calls_ms, np.float64)
    rng = np.random.default_rng(SEED)
    again = rng.choice(times, (N_AGAIN, len(times)))
    return np.take_along_axis(again, rng.integers(0, len(times), (N_AGAIN, N_BATCHES)), axis=1)


def _full_rate(calls_ms: ArrayLike, n_parts: int) -> float:
    """Parts a minute of a box that never rests."""
    return 60e3 * n_parts / float(np.mean(np.asarray(calls_ms, np.float64)))


def _miss_share(services: Times, n_parts: int, deadline_ms: float, rate: float) -> float:
    """What the shares of late parts of 95 % of the rows stay below."""
    interval_ms = 60e3 / rate
    ready = _queue_waits(services, interval_ms * n_parts) + services
    filling = interval_ms * np.arange(n_parts)  # the first part waits for all others
    late = [(ready > deadline_ms - wait).mean(axis=1) for wait in filling]
    return float(np.quantile(np.mean(late, axis=0), CONFIDENCE))


def _queue_waits(services: Times, period_ms: float) -> Times:
    """How long each batch (..., n) waits for those before it: Lindley's recursion, as sums."""
    steps = services[..., :-1] - period_ms
    sums = np.concatenate([np.zeros_like(steps[..., :1]), np.cumsum(steps, axis=-1)], axis=-1)
    return sums - np.minimum.accumulate(sums, axis=-1)


def fastest_takt(
    calls_ms: ArrayLike, *, n_parts: int, deadline_ms: float, miss_probability: float
) -> Takt | None:
    """The highest rate with at most that share of late parts; None if there is no such rate.

    Both ends may fail: at high rates parts queue, at low ones a batch takes long to fill.
    """
    services, full = _measured_again(calls_ms), _full_rate(calls_ms, n_parts)
    for load in LOADS[::-1]:
        rate = float(full * load)
        missed = _miss_share(services, n_parts, deadline_ms, rate)
        if missed <= miss_probability:
            return Takt(parts_per_minute=rate, miss_share=missed)
    return None


def miss_at_most(n_late: int, n: int) -> float:
    """With 95 % confidence no larger share of batches is late than this (Clopper-Pearson)."""
    return 1.0 if n_late == n else beta_quantile(CONFIDENCE, n_late + 1, n - n_late)
