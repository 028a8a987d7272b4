"""Notices: what is said of a run, such as outages, drift, a new bundle.

Each is told at once (log, `notices.jsonl`, sinks). Those that say something of parts also go with
the first part that is delivered after them, into its record.
"""

from __future__ import annotations

import enum
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from edgeinspect.stream.plain import is_time, json_type, printable

__all__ = ["OF_PARTS", "Notice", "NoticeKind", "tell"]

_log = logging.getLogger(__name__)


class NoticeKind(str, enum.Enum):
    """What may be said of a run."""

    STARTED = "started"
    OUTAGE = "outage"
    RECOVERED = "recovered"
    FROZEN = "frozen"
    DRIFT = "drift"
    UNWATCHED = "unwatched"
    BUNDLE = "bundle"
    ENGINE = "engine"
    SINK = "sink"
    DISK = "disk"
    ENDED = "ended"


# What somebody who reads records must know; the others are of the run and where it writes.
OF_PARTS = frozenset(
    {
        NoticeKind.OUTAGE,
        NoticeKind.RECOVERED,
        NoticeKind.FROZEN,
        NoticeKind.DRIFT,
        NoticeKind.UNWATCHED,
        NoticeKind.BUNDLE,
        NoticeKind.ENGINE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that happened to a run, as one sentence without a full stop.

    Attributes:
        source: the name of the source that it is about, or None.
        seconds: how long it lasted, such as an outage that is over; None where that means
            nothing.
        values: figures in JSON types; keys carry their units.

    Sources of third parties make notices as well, so that none can do harm: a number that is not
    finite is None, as `null` in files, a type that JSON lacks its text.
    """

    kind: NoticeKind
    text: str
    time_s: float
    source: str | None = None
    seconds: float | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seconds = math.nan if self.seconds is None else float(self.seconds)
        sound = {
            "kind": NoticeKind(self.kind),
            "text": printable(str(self.text)),
            "time_s": float(self.time_s) if is_time(self.time_s) else time.time(),
            "seconds": seconds if 0 <= seconds < math.inf else None,
            "values": json_type(self.values),
        }
        for name, value in sound.items():
            object.__setattr__(self, name, value)

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


def tell(note: Callable[[Notice], None], notice: Notice, *, level: int = logging.WARNING) -> None:
    """Say a notice in the log, and hand it to `note`."""
    _log.log(level, "%s", notice.text)
    note(notice)
