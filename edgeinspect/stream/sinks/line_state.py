"""What a PLC wants to know of the line: the last verdict, counters, a heartbeat.

Sinks that write it elsewhere (`modbus.py`, `opcua.py`) inherit `StateSink`: all of the state is
written after each part, and once a second between parts. While the other side is away the run goes
on counting; it gets the newest state when it is back. What was not judged is never reported as OK.
"""

from __future__ import annotations

import abc
import contextlib
import math
from dataclasses import dataclass, field
from types import MappingProxyType

from edgeinspect.errors import SinkError
from edgeinspect.stream.sinks.sink import PlainRecord, RunInfo, Sink

__all__ = ["N_LAST", "REASONS", "VERDICTS", "LineState", "StateSink"]

N_LAST = 16  # verdicts for a PLC that polls slower than parts come
CATCH_UP = 1024  # records that are counted at once while the other side is away
VERDICTS = MappingProxyType({"OK": 1, "NG": 2, "NOT-INSPECTED": 3})
_REASONS = (
    "unreadable", "size", "non-finite", "overload", "deadline", "frozen", "engine", "blank",
)  # fmt: skip
REASONS = MappingProxyType({reason: number for number, reason in enumerate(_REASONS, start=1)})
OTHER_REASON = 99


@dataclass(slots=True, kw_only=True)
class LineState:
    """The state after the last part.

    Attributes:
        heartbeat: one more with each write, 65535 is followed by 0.
        verdict, reason: words as in records; "" before the first part, and for no reason.
        score: NaN where there is none.
        counts: parts by verdict.
        last: numbers of the last verdicts; part n (from 1) is in place (n - 1) modulo 16.
    """

    heartbeat: int = 0
    verdict: str = ""
    reason: str = ""
    score: float = math.nan
    threshold: float = math.nan
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    last: list[int] = field(default_factory=lambda: [0] * N_LAST)
    is_running: bool = True

    @property
    def n_parts(self) -> int:
        return sum(self.counts.values())

    @property
    def verdict_number(self) -> int:
        """0 before the first part."""
        return VERDICTS.get(self.verdict, 0)

    @property
    def reason_number(self) -> int:
        """0 where there is none, 99 for one that has no number."""
        return REASONS.get(self.reason, OTHER_REASON) if self.reason else 0

    def take(self, record: PlainRecord) -> None:
        """One part more."""
        self.verdict, self.reason = record["verdict"], record["reason"] or ""
        self.score = math.nan if record["score"] is None else record["score"]
        self.threshold = record["threshold"]
        self.last[self.n_parts % N_LAST] = self.verdict_number
        self.counts[self.verdict] += 1


class StateSink(Sink, abc.ABC):
    """Keeps the state and has it written."""

    def __init__(self) -> None:
        self.state = LineState()

    @abc.abstractmethod
    def write(self, state: LineState) -> None:
        """Write all of it. Raises: SinkError; the connection is then made anew."""

    @abc.abstractmethod
    def disconnect(self) -> None:
        """Leave the other side, connected or not."""

    def open(self, about: RunInfo) -> None:
        self.state.threshold = about.threshold
        self._write()

    def put(self, record: PlainRecord) -> None:
        self.state.take(record)

    def flush(self) -> None:
        try:
            self._write()
        except SinkError:
            self.batch = CATCH_UP  # count what comes, it is written when the other side is back
            raise
        self.batch = 1

    def tick(self) -> None:
        self.flush()

    def close(self) -> None:
        self.state.is_running = False
        with contextlib.suppress(SinkError):
            self._write()
        self.disconnect()

    def _write(self) -> None:
        self.state.heartbeat = (self.state.heartbeat + 1) % (1 << 16)
        self.write(self.state)
