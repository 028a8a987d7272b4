"""How many parts a minute a line may run, from measured times and a deadline.

Parts come at even intervals, wait until their batch is full, then until the batch before is done,
and are ready when their own batch is. The times of batches are drawn from those measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeinspect.calibration.beta import beta_quantile

__all__ = ["Takt", "fastest_takt", "miss_at_most", "miss_share"]

N_BATCHES = 4000  # simulated at each rate
SEED = 0
SATURATION = np.linspace(0.02, 0.99, 98)  # shares of the rate at which nothing would ever wait
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Takt:
    """A rate, and the share of parts that would miss the deadline at it."""

    parts_per_minute: float
    miss_share: float


def miss_share(
    calls_ms: ArrayLike, *, n_parts: int, deadline_ms: float, parts_per_minute: float
) -> float:
    """Share of parts, 0 to 1, that are later than the deadline at this rate.

    Args:
        calls_ms: (n,), measured times of batches of `n_parts` parts, end to end.
    """
    interval_ms = 60e3 / parts_per_minute
    services = np.random.default_rng(SEED).choice(np.asarray(calls_ms, np.float64), N_BATCHES)
    waits = _queue_waits(services, interval_ms * n_parts)
    filling = interval_ms * np.arange(n_parts - 1, -1, -1)  # the first part waits for all others
    latencies = (waits + services)[:, None] + filling
    return float((latencies > deadline_ms).mean())


def _queue_waits(services: NDArray[np.float64], period_ms: float) -> NDArray[np.float64]:
    """How long each batch waits for those before it (Lindley's recursion)."""
    waits = np.zeros_like(services)
    for i in range(1, len(services)):
        waits[i] = max(0.0, waits[i - 1] + services[i - 1] - period_ms)
    return waits


def fastest_takt(
    calls_ms: ArrayLike, *, n_parts: int, deadline_ms: float, miss_probability: float
) -> Takt | None:
    """The highest rate with at most that share of late parts; None if there is no such rate.

    Both ends may fail: at high rates parts queue, at low ones a batch takes long to fill.
    """
    saturation = 60e3 * n_parts / float(np.mean(np.asarray(calls_ms, np.float64)))
    for share in SATURATION[::-1]:
        rate = float(saturation * share)
        missed = miss_share(
            calls_ms, n_parts=n_parts, deadline_ms=deadline_ms, parts_per_minute=rate
        )
        if missed <= miss_probability:
            return Takt(parts_per_minute=rate, miss_share=missed)
    return None


def miss_at_most(n_late: int, n: int) -> float:
    """With 95 % confidence no larger share of batches is late than this (Clopper-Pearson)."""
    return 1.0 if n_late == n else beta_quantile(CONFIDENCE, n_late + 1, n - n_late)
