"""What a sink is: the class that ours and third parties' inherit, and what it is told.

Every method of a sink is called from one thread of its own, never from the line's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from edgeinspect.stream.judge import Judge
from edgeinspect.stream.notices import Notice, NoticeKind

__all__ = ["Notice", "NoticeKind", "PlainRecord", "RunInfo", "Sink", "SinkState"]

# One line of records.jsonl: `Record.to_plain`.
PlainRecord: TypeAlias = Mapping[str, Any]


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
    how all sinks do; `n_watched` how many scores and pictures were looked at for drift.
    """

    judge: Judge
    threshold: float
    tool_version: str
    sources: tuple[str, ...] = ()
    queue_depths: Callable[[], Mapping[str, int]] = dict
    sink_states: Callable[[], Sequence[SinkState]] = tuple
    n_watched: Callable[[], Mapping[str, int]] = dict

    def to_plain(self) -> dict[str, Any]:
        """Names and versions in JSON types."""
        return {
            **self.judge.to_plain(),
            "threshold": self.threshold,
            "tool_version": self.tool_version,
            "sources": list(self.sources),
        }


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
