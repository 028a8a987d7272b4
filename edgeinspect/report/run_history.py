"""What a run's folder tells: counts exactly, scores and latencies from a sample, whatever its size.

A run may have gone on for months: the file of records is read once, a line at a time, and what is
kept of it does not grow with it.
"""

from __future__ import annotations

import json
import random
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from edgeinspect.errors import DataError
from edgeinspect.stream.plain import END_S, is_time
from edgeinspect.stream.records import NOTICES, RECORDS, was_judged

__all__ = ["VERDICTS", "RunHistory", "Sample", "read_run"]

VERDICTS = ("OK", "NG", "NOT-INSPECTED")
N_SAMPLED = 100_000
N_GALLERY = 48  # the last NG parts
N_NOTICES = 5_000  # the last ones
WIDTHS_S = (1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)
N_SLOTS = 120  # at most, of time
DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """n records in the order of their time, all of a short run and a fair sample of a long one.

    Attributes:
        time_s, score, threshold: (n,); a part that has no score has NaN.
        latency_ms: (n,) of each stage, by its name; NaN of a part that was not judged.
    """

    time_s: NDArray[np.float64]
    score: NDArray[np.float64]
    threshold: NDArray[np.float64]
    latency_ms: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunHistory:
    """All that the report says of a run.

    Attributes:
        n_by_verdict: by the words of `VERDICTS`; n_by_reason: of NOT-INSPECTED.
        n_unreadable: lines that are no record, such as edited ones; the first is line
            `first_unreadable`, from 1.
        slot_s: (m,) where slots of time of `width_s` begin, those with parts;
            slot_counts: (m, 3) parts by verdict.
        last_ng: records of the last NG parts, the newest first.
        notices: of their file and of records, each once, in the order of their time.
    """

    folder: Path
    n_by_verdict: dict[str, int]
    n_by_reason: dict[str, int]
    n_unreadable: int
    first_unreadable: int | None
    first_s: float
    last_s: float
    width_s: int
    slot_s: NDArray[np.float64]
    slot_counts: NDArray[np.int64]
    sample: Sample
    last_ng: tuple[dict[str, Any], ...]
    notices: tuple[dict[str, Any], ...]

    @property
    def n_records(self) -> int:
        return sum(self.n_by_verdict.values())

    @property
    def duration_s(self) -> float:
        return self.last_s - self.first_s


def read_run(folder: Path) -> RunHistory:
    """Read records and notices of a run, which may be going on.

    Raises: DataError if the folder holds no records.
    """
    if not (folder / RECORDS).is_file():
        raise DataError(
            f"{folder} holds no {RECORDS}", hint="give the --out folder of edgeinspect run"
        )
    tally = _Tally()
    for record in _lines(folder / RECORDS):
        tally.add(record)
    if tally.n == 0:
        raise DataError(f"{folder / RECORDS} holds no record yet", hint="wait for the first part")
    of_file = deque(filter(_is_notice, _lines(folder / NOTICES)), maxlen=N_NOTICES)
    return tally.history(folder, _each_once([*of_file, *tally.notices]))


def _is_notice(plain: object) -> TypeGuard[dict[str, Any]]:
    """Whether its time, seconds and values, where it has them, are of the kinds they should be."""
    if not isinstance(plain, dict) or not isinstance(plain.get("values") or {}, dict):
        return False
    try:
        _time_s(plain["time"])
        seconds = _number(plain.get("seconds"))
    except (KeyError, TypeError, ValueError):
        return False
    return seconds is None or is_time(seconds)


def _time_s(text: str) -> float:
    """Seconds since the epoch. Raises: TypeError, ValueError."""
    time_s = datetime.fromisoformat(text).timestamp()
    if not DAY_S <= time_s < END_S - DAY_S:  # in any time zone
        raise ValueError(text)
    return time_s


def _number(value: object) -> float | None:
    """Raises: TypeError for what is neither a number nor None, OverflowError for a huge one."""
    if value is not None and not isinstance(value, int | float):
        raise TypeError(value)
    return None if value is None else float(value)


def _each_once(notices: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """A kill may keep a notice from its file or from its record, so both are asked."""
    names = ("time", "kind", "source", "text")
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for notice in notices:
        found.setdefault(tuple(str(notice.get(name)) for name in names), notice)
    return tuple(sorted(found.values(), key=lambda notice: str(notice.get("time"))))


def _lines(path: Path) -> Iterator[dict[str, Any] | None]:
    """The JSON objects of a file, None for a line that is none; half a line at the end is left."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                plain = json.loads(line)
            except ValueError:
                plain = None
            yield plain if isinstance(plain, dict) else None


@dataclass(slots=True)
class _Tally:
    """What is kept while the file is read."""

    n: int = 0
    n_unreadable: int = 0
    first_unreadable: int | None = None
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    slots: _Slots = field(default_factory=lambda: _Slots())
    last_ng: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=N_GALLERY))
    notices: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=N_NOTICES))
    sampled: list[_Figures] = field(default_factory=list)
    first_s: float = float("inf")
    last_s: float = float("-inf")
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def add(self, record: dict[str, Any] | None) -> None:
        try:
            if record is None:
                raise ValueError("no JSON object")
            figures = _Figures.of(record)
            verdict = VERDICTS.index(record["verdict"])
            notices = record.get("notices") or ()  # older records have none
            if not isinstance(record.get("reason"), str | None) or not all(
                map(_is_notice, notices)
            ):
                raise TypeError("a reason or notice of another kind")
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
            self.n_unreadable += 1
            self.first_unreadable = self.first_unreadable or self.n + self.n_unreadable
            return
        self.n += 1
        self.first_s = min(self.first_s, figures.time_s)
        self.last_s = max(self.last_s, figures.time_s)
        self.verdicts[VERDICTS[verdict]] += 1
        if record.get("reason") is not None:
            self.reasons[record["reason"]] += 1
        self.notices.extend(notices)
        if record["verdict"] == "NG":
            self.last_ng.appendleft(record)
        self.slots.add(figures.time_s, verdict)
        self._sample(figures)

    def _sample(self, figures: _Figures) -> None:
        """Each record is kept with the same chance (Vitter's algorithm R)."""
        place = len(self.sampled) if self.n <= N_SAMPLED else self.rng.randrange(self.n)
        if place < N_SAMPLED:
            self.sampled[place : place + 1] = [figures]

    def history(self, folder: Path, notices: tuple[dict[str, Any], ...]) -> RunHistory:
        starts = sorted(self.slots.counts)
        return RunHistory(
            folder=folder,
            n_by_verdict={verdict: self.verdicts[verdict] for verdict in VERDICTS},
            n_by_reason=dict(self.reasons.most_common()),
            n_unreadable=self.n_unreadable,
            first_unreadable=self.first_unreadable,
            first_s=self.first_s,
            last_s=self.last_s,
            width_s=self.slots.width_s,
            slot_s=np.array(starts, np.float64) * self.slots.width_s,
            slot_counts=np.array([self.slots.counts[start] for start in starts], np.int64),
            sample=_sample_of(sorted(self.sampled, key=lambda figures: figures.time_s)),
            last_ng=tuple(self.last_ng),
            notices=notices,
        )


@dataclass(slots=True)
class _Slots:
    """Parts by time and verdict, in slots that widen until `N_SLOTS` span the run."""

    counts: dict[int, list[int]] = field(default_factory=dict)
    level: int = 0
    first: float = float("inf")
    last: float = float("-inf")

    @property
    def width_s(self) -> int:
        return WIDTHS_S[self.level]

    def add(self, time_s: float, verdict: int) -> None:
        self.first, self.last = min(self.first, time_s), max(self.last, time_s)
        while self.last - self.first > N_SLOTS * self.width_s and self.level < len(WIDTHS_S) - 1:
            self._widen()
        self.counts.setdefault(int(time_s // self.width_s), [0, 0, 0])[verdict] += 1

    def _widen(self) -> None:
        before, self.level = self.width_s, self.level + 1
        counts, self.counts = self.counts, {}
        for start, by_verdict in counts.items():
            into = self.counts.setdefault(start * before // self.width_s, [0, 0, 0])
            for verdict, n in enumerate(by_verdict):
                into[verdict] += n


@dataclass(frozen=True, slots=True)
class _Figures:
    """What a sample keeps of a record: a small part of it."""

    time_s: float
    score: float | None
    threshold: float | None
    latency_ms: tuple[tuple[str, float | None], ...]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> _Figures:
        """Raises: KeyError, TypeError, ValueError, AttributeError, OverflowError if it is none."""
        latency_ms = record["latency_ms"] if was_judged(record.get("reason")) else {}
        return cls(
            _time_s(record["time"]),
            _number(record["score"]),
            _number(record["threshold"]),
            tuple((name, _number(value)) for name, value in latency_ms.items()),
        )


def _sample_of(sampled: Sequence[_Figures]) -> Sample:
    def column(values: Iterator[float | None]) -> NDArray[np.float64]:
        return np.array([np.nan if v is None else v for v in values], np.float64)

    stages = dict.fromkeys(name for figures in sampled for name, _ in figures.latency_ms)
    return Sample(
        time_s=column(figures.time_s for figures in sampled),
        score=column(figures.score for figures in sampled),
        threshold=column(figures.threshold for figures in sampled),
        latency_ms={
            name: column(dict(figures.latency_ms).get(name) for figures in sampled)
            for name in stages
        },
    )
