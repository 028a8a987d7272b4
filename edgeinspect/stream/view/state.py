"""What the live page shows: counters of all parts, the last NG parts, now and then a picture."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from edgeinspect.report.overlays import draw_part, encode_jpeg
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.stream.notices import OF_PARTS
from edgeinspect.stream.records import Record, was_judged
from edgeinspect.stream.sinks.sink import Notice, NoticeKind, PlainRecord, RunInfo, Sink

__all__ = ["PartPictures", "ViewState"]

N_NG, N_TROUBLES = 12, 8
N_LATENCIES = 2_000
RATE_S = 60.0  # parts a second over this time
PICTURE_S = 0.25  # at least, between two pictures that are drawn
TROUBLES = OF_PARTS | {NoticeKind.SINK, NoticeKind.DISK}


class ViewState(Sink):
    """Takes every record and notice of a run; read by the server's thread."""

    batch = 100

    def __init__(self, folder: Path) -> None:
        """`folder` is the run's, where overlays of NG parts lie."""
        self._folder = folder
        self._lock = threading.Lock()
        self._about: RunInfo | None = None
        self._last: PlainRecord | None = None
        self._last_at = 0.0
        self._counts = {"OK": 0, "NG": 0, "NOT-INSPECTED": 0}
        self._ng: deque[dict[str, Any]] = deque(maxlen=N_NG)
        self._troubles: deque[dict[str, Any]] = deque(maxlen=N_TROUBLES)
        self._totals_ms: deque[float] = deque(maxlen=N_LATENCIES)
        self._times: deque[float] = deque(maxlen=N_LATENCIES)
        self._lost: set[str | None] = set()
        self._picture: bytes | None = None
        self._shown: dict[str, Any] | None = None
        self._n_pictures = 0

    def open(self, about: RunInfo) -> None:
        self._about = about

    def put(self, record: PlainRecord) -> None:
        with self._lock:
            self._last, self._last_at = record, time.monotonic()
            self._counts[record["verdict"]] += 1
            if was_judged(record["reason"]):
                self._totals_ms.append(record["latency_ms"]["total"])
            self._times.append(self._last_at)
            if record["verdict"] == "NG":
                self._ng.appendleft(_ng_part(record, sum(self._counts.values())))

    def note(self, notice: Notice) -> None:
        with self._lock:
            if notice.kind in TROUBLES:
                self._troubles.appendleft(notice.to_plain())
            if notice.kind is NoticeKind.OUTAGE:
                self._lost.add(notice.source)
            if notice.kind is NoticeKind.RECOVERED:
                self._lost.discard(notice.source)

    def show(self, picture: bytes, record: PlainRecord) -> None:
        """A part's picture with its heat, as the bytes of a JPEG file, and what it shows."""
        with self._lock:
            self._picture = picture
            self._shown = _part(record)
            self._n_pictures += 1

    @property
    def picture(self) -> bytes | None:
        return self._picture

    def ng_picture(self, key: int) -> Path | None:
        """The overlay of one of the last NG parts; None if there is none."""
        with self._lock:
            stem = next((part["stem"] for part in self._ng if part["key"] == key), None)
        path = None if stem is None else self._folder / "overlays" / f"{stem}.jpg"
        return path if path is not None and path.is_file() else None

    def to_json(self) -> str:
        """All that the page shows, in one line."""
        with self._lock:
            last, about = self._last, self._about
            plain: dict[str, Any] = {
                "counts": dict(self._counts),
                "ng": [{k: v for k, v in part.items() if k != "stem"} for part in self._ng],
                "troubles": list(self._troubles),
                "lost": sorted(name or "the source" for name in self._lost),
                "is_last_lost": last is not None and last["stream"] in self._lost,
                "picture": self._n_pictures,
                "shown": self._shown,
                "rate_per_s": self._rate_per_s(),
                "latency_ms": self._quantiles_ms(),
                "last": None if last is None else _part(last),
                "since_last_s": None if last is None else time.monotonic() - self._last_at,
            }
        if about is not None:
            plain["bundle"] = about.judge.bundle
            plain["away"] = [state.name for state in about.sink_states() if state.is_away]
        return json.dumps(plain, ensure_ascii=False)

    def _rate_per_s(self) -> float:
        now = time.monotonic()
        while self._times and now - self._times[0] > RATE_S:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(1e-6, now - self._times[0])

    def _quantiles_ms(self) -> dict[str, float]:
        if not self._totals_ms:
            return {}
        p50, p99 = np.quantile(self._totals_ms, (0.5, 0.99))
        return {"p50": round(float(p50), 1), "p99": round(float(p99), 1)}


class PartPictures:
    """Draws the newest part for the page, a few times a second (a `PictureSink`)."""

    batch = 1

    def __init__(self, state: ViewState) -> None:
        self._state = state
        self._next = 0.0
        self._waiting: Record | None = None

    def open(self, about: RunInfo) -> None: ...

    def put(self, record: Record) -> None:
        self._waiting = record
        is_ng = record.inspection.verdict is Verdict.NG
        if is_ng or time.monotonic() >= self._next:
            self.tick()

    def flush(self) -> None: ...

    def note(self, notice: Notice) -> None: ...

    def tick(self) -> None:
        record, self._waiting = self._waiting, None
        if record is None or record.frame.picture is None:
            return
        picture = draw_part(record.frame.picture, record.inspection)
        self._state.show(encode_jpeg(picture), record.to_plain())
        self._next = time.monotonic() + PICTURE_S

    def close(self) -> None: ...


def _part(record: PlainRecord) -> dict[str, Any]:
    """What the page says of one part."""
    names = ("seq", "stream", "time", "verdict", "reason", "score", "threshold")
    return {**{n: record[n] for n in names}, "name": Path(str(record["source"])).name}


def _ng_part(record: PlainRecord, key: int) -> dict[str, Any]:
    """`key` names it on the page; `stem` is the name of its pictures, None if none was saved."""
    map_path = record.get("map")
    return {
        **_part(record),
        "key": key,
        "stem": None if map_path is None else Path(str(map_path)).stem,
        "has_picture": map_path is not None,
    }
