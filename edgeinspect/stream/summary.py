"""What a run did: counted while it goes on, told at its end."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeinspect.runtime.inspection import Reason, Verdict
from edgeinspect.stream.records import Record, was_judged

__all__ = ["RunSummary", "Tally"]

N_LATENCIES = 10_000  # the last ones, of which quantiles are given
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run did.

    Attributes:
        n_frames: what the sources delivered; n_records: lines written, the same number.
        n_before: records of earlier starts that this one went on from.
        n_by_verdict, n_by_reason: counts by verdict and, of NOT-INSPECTED, by reason.
        latency_ms: p50, p90 and p99 of `total`, of the last 10 000 parts that were judged.
        n_overlays: that are kept, with those of earlier starts.
        is_interrupted: it was stopped before its sources ended.
        is_endless: a source never ends, so that stopping is how the run ends.
    """

    out: Path
    bundle: str
    runtime: str
    threshold: float
    n_frames: int
    n_records: int
    n_before: int = 0
    n_by_verdict: dict[Verdict, int]
    n_by_reason: dict[Reason, int]
    n_overlays: int
    latency_ms: dict[str, float]
    duration_s: float
    is_interrupted: bool
    is_endless: bool = False

    @property
    def is_all_ok(self) -> bool:
        """Whether no part of this start is anything else; a first one on files must have parts."""
        has_parts = self.n_records > 0 or self.n_before > 0 or self.is_endless
        return has_parts and self.n_by_verdict[Verdict.OK] == self.n_records

    @property
    def rate_per_s(self) -> float:
        """Parts a second, from the start to the last record."""
        return self.n_records / self.duration_s if self.duration_s > 0 else 0.0

    def to_plain(self) -> dict[str, Any]:
        """The summary in JSON types."""
        return {
            "out": str(self.out),
            "bundle": self.bundle,
            "runtime": self.runtime,
            "threshold": self.threshold,
            "records_in": self.n_frames,
            "records_out": self.n_records,
            "records_before": self.n_before,
            "verdicts": {verdict.value: n for verdict, n in self.n_by_verdict.items()},
            "reasons": {reason.value: n for reason, n in self.n_by_reason.items()},
            "overlays": self.n_overlays,
            "latency_ms": self.latency_ms,
            "duration_s": round(self.duration_s, 3),
            "rate_per_s": round(self.rate_per_s, 3),
            "interrupted": self.is_interrupted,
        }


@dataclass(slots=True)
class Tally:
    """Counts while a run goes on; it stays small however long that is."""

    n_records: int = 0
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    reasons: dict[Reason, int] = field(default_factory=dict)
    totals_ms: deque[float] = field(default_factory=lambda: deque(maxlen=N_LATENCIES))
    started_s: float = field(default_factory=time.perf_counter)

    def add(self, record: Record) -> None:
        found = record.inspection
        self.n_records += 1
        self.verdicts[found.verdict] += 1
        if found.reason is not None:
            self.reasons[found.reason] = self.reasons.get(found.reason, 0) + 1
        if was_judged(found.reason):
            self.totals_ms.append(record.latency.total)

    @property
    def status(self) -> str:
        """One line for those who look after services."""
        counts = ", ".join(f"{verdict.value} {n}" for verdict, n in self.verdicts.items())
        return f"{self.n_records} parts: {counts}"

    def quantiles_ms(self) -> dict[str, float]:
        totals = list(self.totals_ms)
        if not totals:
            return {}
        return {n: round(float(np.quantile(totals, q)), 3) for n, q in QUANTILES.items()}
