"""What a sink is: the class that ours and third parties' inherit, and what it is told.

Every method of a sink is called from one thread of its own, never from the line's.
"""

from __future__ import annotations

import enum
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeAlias

__all__ = ["Notice", "NoticeKind", "PlainRecord", "RunInfo", "Sink", "SinkState"]

# One line of records.jsonl: `Record.to_plain`.
PlainRecord: TypeAlias = Mapping[str, Any]


class NoticeKind(str, enum.Enum):
    """What may be said of a run beside its records."""

    STARTED = "started"
    OUTAGE = "outage"
    RECOVERED = "recovered"
    FROZEN = "frozen"
    DRIFT = "drift"
    BUNDLE = "bundle"
    ENGINE = "engine"
    SINK = "sink"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that happened to a run, as one sentence without a full stop.

    Attributes:
        source: the name of the source that it is about, or None.
        seconds: how long it lasted, such as an outage that is over; None where that means
            nothing.
        values: figures in JSON types; keys carry their units.
    """

    kind: NoticeKind
    text: str
    time_s: float
    source: str | None = None
    seconds: float | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def now(cls, kind: NoticeKind, text: str, **about: Any) -> Notice:
        """A notice of this moment."""
        return cls(kind=kind, text=text, time_s=time.time(), **about)

    def to_plain(self) -> dict[str, Any]:
        """The notice in JSON types; the keys are promised to those who read them."""
        at = datetime.fromtimestamp(self.time_s, timezone.utc)
        return {
            "time": at.isoformat(timespec="milliseconds"),
            "kind": self.kind.value,
            "text": self.text,
            "source": self.source,
            "seconds": self.seconds,
            "values": dict(self.values),
        }

    def to_line(self) -> str:
        """One JSON object and a line feed."""
        return json.dumps(self.to_plain(), ensure_ascii=False, allow_nan=False) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkState:
    """How a sink does: `n_waiting` records to deliver, `n_dropped` that it never gets."""

    name: str
    is_away: bool
    n_waiting: int
    n_dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What a sink may say of the run: names and versions, nothing secret.

    `queue_depths` gives how many wait in each queue of the run now, by its name; `sink_states`
    how all sinks do.
    """

    bundle: str
    calibration: str
    runtime: str
    threshold: float
    tool_version: str
    sources: tuple[str, ...] = ()
    queue_depths: Callable[[], Mapping[str, int]] = dict
    sink_states: Callable[[], Sequence[SinkState]] = tuple


class Sink:
    """Where records go: inherit it, and write the methods that are needed; here they do nothing.

    A sink that cannot deliver raises `SinkError`; it is then asked again, after a while that
    grows, until it can. Anything else that it raises ends this sink, not the run.

    Attributes:
        is_durable: every record must arrive. Such a sink reads `records.jsonl` behind the line
            and its place in it is kept on the disk, so that nothing is lost while the other
            side is away, or when the run is killed; a record may arrive twice. Other sinks get
            records from a queue in memory that drops the oldest when it is full.
        batch: records that are put between two calls of `flush`.
    """

    is_durable: bool = False
    batch: int = 1

    def open(self, about: RunInfo) -> None:
        """Called once, before the first record. Raises: SinkError; it is then called again."""

    def put(self, record: PlainRecord) -> None:
        """Send one record. Raises: SinkError."""

    def flush(self) -> None:
        """Return when all that was put has arrived.

        Raises: SinkError; a durable sink is then given the same records again.
        """

    def note(self, notice: Notice) -> None:
        """Be told of an outage, of drift, and the like."""

    def tick(self) -> None:
        """Called about once a second: heartbeats."""

    def close(self) -> None:
        """Called once, also when `open` failed."""
