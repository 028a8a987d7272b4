"""Settings that `plan` has measured: which meet the deadline, are on the front, are best.

Pure functions of measured values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.bench.latency import Latency
from edgeinspect.bench.takt import fastest_takt, miss_at_most, miss_share
from edgeinspect.bench.variants import VariantKey
from edgeinspect.errors import ConfigError
from edgeinspect.numbers import three_digits

__all__ = ["AS_IS", "Candidate", "Demand", "judge", "on_front", "pick"]

AS_IS = "as exported"
EQUAL_AUROC = 0.002  # closer than this two settings find the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What the line asks: `parts_per_minute` None asks for no rate."""

    deadline_ms: float
    parts_per_minute: float | None = None
    miss_probability: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.deadline_ms < math.inf:
            raise ConfigError(f"the deadline is {self.deadline_ms} ms: it must be a number above 0")
        if self.parts_per_minute is not None and not 0 < self.parts_per_minute < math.inf:
            raise ConfigError(
                f"parts a minute are {self.parts_per_minute}: it must be a number above 0"
            )
        if not 0 < self.miss_probability < 1:
            raise ConfigError(
                f"the miss probability is {self.miss_probability}: it must be above 0 and below 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One setting, measured.

    Attributes:
        change: of the bundle, such as "merging 16"; `AS_IS` for none.
        end_to_end: of batches of `n_parts` parts, from file to record.
        late_share: of those batches, alone on the line; `late_at_most` its 95 % bound.
        parts_per_minute: the highest rate that meets the deadline, 0 if none does.
        meets: the deadline, and the rate that was asked for.
        auroc: on the user's labelled pictures, or None.
    """

    key: VariantKey
    change: str
    end_to_end: Latency
    n_parts: int
    late_share: float
    late_at_most: float
    parts_per_minute: float
    meets: bool
    auroc: float | None

    @property
    def name(self) -> str:
        n = self.key.threads
        on = "" if n is None else f" on {n} thread{'s' if n > 1 else ''}"
        change = "" if self.change == AS_IS else f", {self.change}"
        return f"{self.key.name}{on}{change}"

    def plain(self) -> dict[str, Any]:
        """JSON types only."""
        found = asdict(self)
        key = found.pop("key")
        return {"name": self.name, **key, "precision": self.key.precision.value, **found}


def judge(
    key: VariantKey,
    change: str,
    calls_ms: NDArray[np.float64],
    *,
    n_parts: int,
    auroc: float | None,
    demand: Demand,
) -> Candidate:
    """What measured times (n,) of batches mean for the line."""
    n_late = int((calls_ms > demand.deadline_ms).sum())
    takt = fastest_takt(
        calls_ms,
        n_parts=n_parts,
        deadline_ms=demand.deadline_ms,
        miss_probability=demand.miss_probability,
    )
    rate = demand.parts_per_minute
    meets = takt is not None
    if rate is not None:
        share = miss_share(
            calls_ms, n_parts=n_parts, deadline_ms=demand.deadline_ms, parts_per_minute=rate
        )
        meets = share <= demand.miss_probability
    return Candidate(
        key=key,
        change=change,
        end_to_end=Latency.of(calls_ms),
        n_parts=n_parts,
        late_share=n_late / len(calls_ms),
        late_at_most=miss_at_most(n_late, len(calls_ms)),
        parts_per_minute=0.0 if takt is None else takt.parts_per_minute,
        meets=meets,
        auroc=auroc,
    )


def on_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other beats in both latency (p99) and AUROC; unknown AUROC counts as equal."""

    def beats(one: Candidate, other: Candidate) -> bool:
        ours = (-one.end_to_end.p99_ms, one.auroc or 0.0)
        theirs = (-other.end_to_end.p99_ms, other.auroc or 0.0)
        return ours != theirs and all(a >= b for a, b in zip(ours, theirs, strict=True))

    front = [c for c in candidates if not any(beats(other, c) for other in candidates)]
    return sorted(front, key=lambda c: c.end_to_end.p99_ms)


def pick(candidates: Sequence[Candidate], demand: Demand) -> Candidate:
    """The one that finds most of those that meet the demand; of equals the highest rate.

    Raises: ConfigError that names the nearest if none does.
    """
    fitting = [c for c in candidates if c.meets]
    if not fitting:
        raise _none_meets(candidates, demand)
    best = max(c.auroc or 0.0 for c in fitting)
    equal = [c for c in fitting if (c.auroc or 0.0) >= best - EQUAL_AUROC]
    return max(equal, key=lambda c: c.parts_per_minute)


def _none_meets(candidates: Sequence[Candidate], demand: Demand) -> ConfigError:
    nearest = max(candidates, key=lambda c: (c.parts_per_minute, -c.end_to_end.p99_ms))
    asked = f"{demand.deadline_ms:g} ms"
    if demand.parts_per_minute is not None:
        asked += f" at {three_digits(demand.parts_per_minute)} parts a minute"
    rate = f", {nearest.parts_per_minute:.0f} parts a minute" if nearest.parts_per_minute else ""
    return ConfigError(
        f"no setting meets {asked}; the nearest is {nearest.name} with p99"
        f" {three_digits(nearest.end_to_end.p99_ms)} ms{rate}",
        hint="a smaller preset, fewer scales or merging (--run and --good) may meet it",
    )
