"""The report of a run: one HTML page that needs no other file, made from the folder of the run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect import __version__
from edgeinspect.errors import OutputError
from edgeinspect.numbers import percent, three_digits
from edgeinspect.report.page import inline_jpeg, render
from edgeinspect.report.run_charts import (
    TimeAxis,
    counts_chart,
    latency_chart,
    score_histogram,
    score_over_time,
)
from edgeinspect.report.run_history import RunHistory, Sample, read_run
from edgeinspect.stream.plain import printable
from edgeinspect.writing import to_utf8, write_atomically

__all__ = ["REPORT", "Interval", "NgPart", "RunPage", "make_run_report"]

REPORT = "report.html"
TEMPLATE = "run.html"
QUANTILES = (0.5, 0.9, 0.99)
GALLERY_PX = 320
WAITING = "waiting"  # what is left of a part's time: queues, and others of its batch
BEGINS, ENDS = ("outage", "frozen"), "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class NgPart:
    """A part as the gallery shows it; `picture` is an address for an `<img>`, None if it went."""

    name: str
    time: str
    score: float | None
    share: float | None
    picture: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A time without parts: an outage, or a picture that stood still."""

    start_s: float
    end_s: float
    is_over: bool
    text: str

    @property
    def start(self) -> str:
        return _clock(self.start_s)

    @property
    def length(self) -> str:
        return _length(self.end_s - self.start_s) + ("" if self.is_over else ", not over")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """All that the page says; `charts` are SVG texts."""

    title: str
    lead: str
    n_by_verdict: dict[str, int]
    n_by_reason: dict[str, int]
    n_unreadable: int
    first_unreadable: int | None
    rate_per_s: float
    quantiles_ms: dict[str, tuple[float, ...]]
    charts: tuple[str, ...]
    intervals: tuple[Interval, ...]
    drift: tuple[tuple[str, str], ...]
    watched: str
    events: tuple[tuple[str, str], ...]
    gallery: tuple[NgPart, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def n_parts(self) -> int:
        return sum(self.n_by_verdict.values())

    @property
    def ng_share(self) -> str:
        judged = self.n_by_verdict["OK"] + self.n_by_verdict["NG"]
        return percent(self.n_by_verdict["NG"] / judged) if judged else "-"

    @property
    def rate(self) -> str:
        """Parts a second."""
        return three_digits(self.rate_per_s)

    @property
    def away(self) -> str:
        return _length(sum(one.end_s - one.start_s for one in self.intervals))


def make_run_report(folder: Path, *, out: Path | None = None, force: bool = False) -> RunPage:
    """Read a run and write its report, to `folder/report.html` unless `out` says otherwise.

    Raises: DataError if the folder is no run's; OutputError if there is a report already (and
        not `force`) or it cannot be written.
    """
    target = folder / REPORT if out is None else out
    if os.path.lexists(target) and not force:
        raise OutputError(f"{target} exists", hint="add --force to replace it")
    page = _page(read_run(folder))
    write_atomically(target, to_utf8(render(TEMPLATE, page=page)))
    return page


def _page(run: RunHistory) -> RunPage:
    intervals = _intervals(run)
    quantiles = _quantiles_ms(run.sample)
    away = [(one.start_s, one.end_s) for one in intervals]
    drift = [n for n in run.notices if n.get("kind") == "drift"]
    of_drift = [n for n in run.notices if n.get("kind") in ("drift", "unwatched")]
    axis = TimeAxis(run.first_s, max(run.first_s + 1, run.last_s, *(end for _, end in away)))
    return RunPage(
        title=f"Inspection of {run.n_records:,} parts".replace(",", " "),
        lead=f"{_clock(run.first_s)} to {_clock(run.last_s)} ({_length(run.duration_s)})",
        n_by_verdict=run.n_by_verdict,
        n_by_reason=run.n_by_reason,
        n_unreadable=run.n_unreadable,
        first_unreadable=run.first_unreadable,
        rate_per_s=run.n_records / run.duration_s if run.duration_s > 0 else 0.0,
        quantiles_ms=quantiles,
        charts=(
            counts_chart(axis, run.slot_s, run.slot_counts, width_s=run.width_s, away=away),
            score_over_time(axis, run.sample, away=away, drift_s=[_time_s(n) for n in drift]),
            score_histogram(run.sample),
            latency_chart(quantiles),
        ),
        intervals=tuple(intervals),
        drift=tuple((_clock(_time_s(n)), str(n.get("text"))) for n in of_drift),
        watched=_watched(run),
        events=tuple(_events(run)),
        gallery=tuple(_ng_part(run.folder, record) for record in run.last_ng),
        facts=_facts(run),
    )


def _quantiles_ms(sample: Sample) -> dict[str, tuple[float, ...]]:
    """Of each stage, then of what a part waited, then of the total."""
    stages = {name: v for name, v in sample.latency_ms.items() if name != "total"}
    if "total" in sample.latency_ms:
        total = sample.latency_ms["total"]
        known = np.nansum(list(stages.values()), axis=0) if stages else np.zeros_like(total)
        stages |= {WAITING: np.maximum(0.0, total - known), "total": total}
    return {name: _three(values) for name, values in stages.items() if np.isfinite(values).any()}


def _three(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(q) for q in np.nanquantile(values, QUANTILES))


def _intervals(run: RunHistory) -> list[Interval]:
    """Outages and standstills, each from its beginning to its end; one may still go on."""
    found: list[Interval] = []
    begun: dict[str, dict[str, Any]] = {}
    for notice in run.notices:
        source = str(notice.get("source") or "")
        if notice.get("kind") == ENDS or (notice.get("kind") in BEGINS and notice.get("seconds")):
            found.append(_ended(begun.pop(source, notice), notice))
        elif notice.get("kind") in BEGINS:
            begun[source] = notice
    for notice in begun.values():
        start_s = _time_s(notice)
        end_s, text = max(start_s, run.last_s), str(notice.get("text"))
        found.append(Interval(start_s=start_s, end_s=end_s, is_over=False, text=text))
    return found


def _ended(begin: Mapping[str, Any], end: Mapping[str, Any]) -> Interval:
    end_s, seconds = _time_s(end), end.get("seconds")
    start_s = _time_s(begin) if seconds is None else end_s - float(seconds)
    is_over = end.get("kind") == ENDS
    return Interval(start_s=start_s, end_s=end_s, is_over=is_over, text=str(begin.get("text")))


def _watched(run: RunHistory) -> str:
    """How many parts were looked at for drift: each start tells at its end."""
    ended = [n.get("values") or {} for n in run.notices if n.get("kind") == "ended"]
    known = [values for values in ended if isinstance(values.get("n_scores_watched"), int)]
    if not known:
        return "How many parts were looked at is told at the end of a run."
    n_scores, n_pictures = (
        sum(n for values in known if isinstance(n := values.get(f"n_{name}_watched"), int))
        for name in ("scores", "pictures")
    )
    n_started = sum(n.get("kind") == "started" for n in run.notices)
    rest = "" if len(known) >= n_started else ", not counting starts without an end"
    return f"Looked at: {n_scores} scores of OK parts, {n_pictures} pictures{rest}."


def _events(run: RunHistory) -> list[tuple[str, str]]:
    """What else was noticed: bundles, engines, sinks, a full disk."""
    shown = ("bundle", "engine", "sink", "disk")
    return [(_clock(_time_s(n)), str(n.get("text"))) for n in run.notices if n.get("kind") in shown]


def _ng_part(folder: Path, record: Mapping[str, Any]) -> NgPart:
    score, threshold = record["score"], record["threshold"]
    has_share = score is not None and threshold
    return NgPart(
        name=Path(str(record.get("source", ""))).name,
        time=_clock(_time_s(record)),
        score=score,
        share=score / threshold if has_share else None,
        picture=_overlay(folder, record.get("map")),
    )


def _overlay(folder: Path, map_path: object) -> str | None:
    """The overlay beside a map, made small; None if it has gone to keep the disk free."""
    import cv2

    if not isinstance(map_path, str):
        return None
    path = folder / "overlays" / f"{Path(map_path).stem}.jpg"
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if not data:  # after a power cut
        return None
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        return None
    factor = min(1.0, GALLERY_PX / max(bgr.shape[:2]))
    size = (max(1, round(bgr.shape[1] * factor)), max(1, round(bgr.shape[0] * factor)))
    small = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    return inline_jpeg(np.asarray(small[..., ::-1], np.uint8))


def _facts(run: RunHistory) -> tuple[tuple[str, str], ...]:
    started = [n for n in run.notices if n.get("kind") == "started"]
    about = dict(started[-1].get("values") or {}) if started else {}
    known = [(name.replace("_", " "), _plain(value)) for name, value in about.items() if value]
    n_starts = [("started", f"{len(started)} times")] if len(started) > 1 else []
    made = datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
    return (
        ("folder", printable(str(run.folder))),
        *known,
        *n_starts,
        ("report", f"edgeinspect {__version__}, {made}"),
    )


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _time_s(told: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(told["time"]).timestamp()


def _clock(time_s: float) -> str:
    return datetime.fromtimestamp(time_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _length(seconds: float) -> str:
    """A time span as people say it: 42 s, 12 min, 3.5 h, 12 days."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.3g} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 86400:.3g} days"
