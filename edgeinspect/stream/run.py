"""The loop of a run: frames in, one record each out, pictures of what was found beside them.

Frames are collected until they fill a batch of tiles, judged together, and recorded in order.
The loop is plain on purpose: decoding ahead is the only stage on a thread of its own.
"""

from __future__ import annotations

import enum
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import edgeinspect
from edgeinspect.errors import ImageError
from edgeinspect.runtime.inspector import Inspection, Inspector, Reason, Verdict
from edgeinspect.stream.outlets import open_outlets
from edgeinspect.stream.pictures import KEEP_GIB, PictureStore
from edgeinspect.stream.records import (
    Latency,
    Record,
    RecordWriter,
    prepare_record_folder,
    unreadable,
)
from edgeinspect.stream.sinks import RunInfo
from edgeinspect.stream.sources import Frame, Source, read_ahead

__all__ = ["RunSummary", "Save", "run_stream"]

N_LATENCIES = 100_000  # the last ones, of which the summary gives quantiles
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class Save(str, enum.Enum):
    """For which parts pictures are saved."""

    NG = "ng"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run did.

    Attributes:
        n_frames: what the source delivered; n_records: lines written, the same number.
        n_by_verdict, n_by_reason: counts by verdict and, of NOT-INSPECTED, by reason.
        latency_ms: p50, p90 and p99 of the records' `total`.
        is_interrupted: it was stopped before the source ended.
    """

    out: Path
    bundle: str
    runtime: str
    threshold: float
    n_frames: int
    n_records: int
    n_by_verdict: dict[Verdict, int]
    n_by_reason: dict[Reason, int]
    n_overlays: int
    latency_ms: dict[str, float]
    duration_s: float
    is_interrupted: bool

    @property
    def is_all_ok(self) -> bool:
        return self.n_records > 0 and self.n_by_verdict[Verdict.OK] == self.n_records

    @property
    def rate_per_s(self) -> float:
        """Parts a second, from the first frame's delivery to the last record."""
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
            "verdicts": {verdict.value: n for verdict, n in self.n_by_verdict.items()},
            "reasons": {reason.value: n for reason, n in self.n_by_reason.items()},
            "overlays": self.n_overlays,
            "latency_ms": self.latency_ms,
            "duration_s": round(self.duration_s, 3),
            "rate_per_s": round(self.rate_per_s, 3),
            "interrupted": self.is_interrupted,
        }


@dataclass(slots=True)
class _Tally:
    """Counts while a run goes on; the stream has no end that must be waited for."""

    n_frames: int = 0
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    reasons: dict[Reason, int] = field(default_factory=dict)
    totals_ms: deque[float] = field(default_factory=lambda: deque(maxlen=N_LATENCIES))

    def add(self, record: Record) -> None:
        found = record.inspection
        self.verdicts[found.verdict] += 1
        if found.reason is not None:
            self.reasons[found.reason] = self.reasons.get(found.reason, 0) + 1
        self.totals_ms.append(record.latency.total)

    def quantiles_ms(self) -> dict[str, float]:
        if not self.totals_ms:
            return {}
        return {n: round(float(np.quantile(self.totals_ms, q)), 3) for n, q in QUANTILES.items()}


def run_stream(
    inspector: Inspector,
    source: Source,
    out: Path,
    *,
    save: Save = Save.NG,
    keep_gib: float = KEEP_GIB,
    force: bool = False,
    stop: threading.Event | None = None,
    urls: Sequence[str] = (),
    view: str | None = None,
    on_record: Callable[[Record], None] | None = None,
) -> RunSummary:
    """Judge every frame of a source and write the records into the folder `out`.

    Args:
        keep_gib: how much of the disk pictures may take; the oldest go first.
        force: replace an earlier run in `out`.
        stop: once it is set the run ends after the batch in hand, all frames taken recorded.
        urls: of sinks; view: HOST:PORT of the live page, None for none.
        on_record: called after each record is written, such as for a progress bar.
    Raises: OutputError, and what the session or the source raise.
    """
    folder = prepare_record_folder(out, force=force, saves_pictures=save is not Save.NONE)
    stop = stop or threading.Event()
    tally = _Tally()
    pictures = PictureStore(folder, keep_gib=keep_gib)
    start = time.perf_counter()
    calibration = inspector.bundle.require_calibration()
    outlets = open_outlets(folder.path, _about(inspector), calibration, urls=urls, view=view)
    with RecordWriter(folder.records) as writer, outlets as told:
        with closing(_batches(inspector, source, stop, tally)) as batches:
            for frames in batches:
                for record in _judge(inspector, frames):
                    saved = _save(record, pictures, save)
                    writer.write(saved)
                    tally.add(saved)
                    told.put(saved)
                    if on_record is not None:
                        on_record(saved)
        assert writer.n_written == tally.n_frames, "a frame has no record, or two"
        return RunSummary(
            out=out,
            bundle=str(inspector.bundle.path),
            runtime=inspector.runtime,
            threshold=inspector.threshold,
            n_frames=tally.n_frames,
            n_records=writer.n_written,
            n_by_verdict=tally.verdicts,
            n_by_reason=tally.reasons,
            n_overlays=pictures.n_overlays,
            latency_ms=tally.quantiles_ms(),
            duration_s=time.perf_counter() - start,
            is_interrupted=stop.is_set(),
        )


def _about(inspector: Inspector) -> RunInfo:
    return RunInfo(
        bundle=inspector.bundle.name,
        calibration=inspector.bundle.manifest.calibration or "",
        runtime=inspector.runtime,
        threshold=inspector.threshold,
        tool_version=edgeinspect.__version__,
    )


def _batches(
    inspector: Inspector, source: Source, stop: threading.Event, tally: _Tally
) -> Generator[list[Frame], None, None]:
    """Frames in lists that fill the inspector's batch of tiles; none is left behind."""
    frames: list[Frame] = []
    n_tiles = 0
    with closing(read_ahead(source, stop)) as delivered:
        for frame in delivered:
            tally.n_frames += 1
            frames.append(frame)
            n_tiles += _n_tiles(inspector, frame)
            if n_tiles >= inspector.batch:
                yield frames
                frames, n_tiles = [], 0
    if frames:
        yield frames


def _n_tiles(inspector: Inspector, frame: Frame) -> int:
    """Tiles of a frame; a frame that cannot be judged fills a batch, so that it waits for none."""
    if frame.picture is None:
        return inspector.batch
    try:
        return inspector.plan(frame.picture).n_tiles
    except ImageError:
        return inspector.batch


def _judge(inspector: Inspector, frames: list[Frame]) -> list[Record]:
    found = iter(inspector([frame.picture for frame in frames if frame.picture is not None]))
    return [
        _record(
            frame,
            unreadable(frame, threshold=inspector.threshold)
            if frame.picture is None
            else next(found),
            inspector.runtime,
        )
        for frame in frames
    ]


def _record(frame: Frame, inspection: Inspection, runtime: str) -> Record:
    timing = inspection.timing
    latency = Latency(
        decode=frame.decode_ms,
        prepare=timing.prepare_ms,
        infer=timing.infer_ms,
        post=timing.post_ms,
        total=1e3 * (time.perf_counter() - frame.started_s),
    )
    return Record(frame=frame, inspection=inspection, latency=latency, runtime=runtime)


def _save(record: Record, pictures: PictureStore, save: Save) -> Record:
    """Save the pictures of a record, if it is one of those; gives it with the map's path."""
    is_ng = record.inspection.verdict is Verdict.NG
    is_wanted = save is Save.ALL or (save is Save.NG and is_ng)
    return pictures.save(record) if is_wanted else record
