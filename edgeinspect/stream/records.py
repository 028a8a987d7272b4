"""Records: one JSON line for every frame, and the folder that a run writes.

    OUT/records.jsonl          one line a frame, in order, flushed as it is written
    OUT/overlays/SEQ_NAME.jpg  the picture with heat, boxes and verdict, for people
    OUT/crops/SEQ_NAME_1.jpg   the strongest regions of an NG part, in the picture's own pixels
    OUT/notices.jsonl          one line for each outage, drift and the like
    OUT/sinks/                 how far each durable sink has come in records.jsonl
    OUT/maps/SEQ_NAME.png      the anomaly map, 16-bit grey: z = value / 256, from 0 to 255.99

The file is valid after every line: a line that does not fit on the disk is taken back.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgeinspect.runtime.inspector import Inspection, Reason, Verdict
from edgeinspect.stream.sources import Frame
from edgeinspect.writing import output_errors, refuse_foreign

__all__ = [
    "FOLDERS",
    "NOTICES",
    "PLACES",
    "RECORDS",
    "Latency",
    "Record",
    "RecordFolder",
    "RecordWriter",
    "prepare_record_folder",
    "unreadable",
]

RECORDS = "records.jsonl"
NOTICES = "notices.jsonl"
FOLDERS = ("overlays", "maps", "crops")
PLACES = "sinks"  # how far each durable sink has come
LONGEST_STEM = 120  # bytes of a source's name in the names of files


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds of a frame's way; `total` runs from its delivery to its verdict.

    `total` also holds what the frame waited for; saving pictures comes after it.
    """

    decode: float
    prepare: float
    infer: float
    post: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept about a frame; `map` is the path of its map in the run's folder, or None."""

    frame: Frame
    inspection: Inspection
    latency: Latency
    runtime: str
    map: str | None = None

    def with_map(self, path: str) -> Record:
        """The same record, with its map saved at a path in the run's folder."""
        return dataclasses.replace(self, map=path)

    def to_line(self) -> str:
        """One JSON object and a line feed. Numbers that are not finite become null."""
        plain = self.to_plain()
        return json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n"

    def to_plain(self) -> dict[str, Any]:
        """The record in JSON types; the keys are promised to those who read the file."""
        found = self.inspection
        return {
            "seq": self.frame.seq,
            "source": _printable(self.frame.source),
            "time": datetime.fromtimestamp(self.frame.time_s, timezone.utc).isoformat(
                timespec="milliseconds"
            ),
            "verdict": found.verdict.value,
            "reason": None if found.reason is None else found.reason.value,
            "score": _finite(found.score),
            "local_score": _finite(found.local_score),
            "global_score": _finite(found.global_score),
            "threshold": _finite(found.threshold),
            "scale": found.scale,
            "regions": [
                {"box": list(r.box), "area_px": r.area_px, "peak": _finite(r.peak)}
                for r in found.regions
            ],
            "latency_ms": {
                name: round(getattr(self.latency, name), 3) for name in Latency.__slots__
            },
            "runtime": self.runtime,
            "map": self.map,
        }


def unreadable(frame: Frame, *, threshold: float) -> Inspection:
    """What stands in a record for a frame that has no picture."""
    assert frame.error is not None, "a frame without a picture says why"
    return Inspection(
        verdict=Verdict.NOT_INSPECTED,
        reason=Reason.UNREADABLE,
        detail=str(frame.error),
        threshold=threshold,
        picture_hw=(0, 0),
    )


class RecordFolder:
    """The names of files in a run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def records(self) -> Path:
        return self.path / RECORDS

    def overlay(self, frame: Frame) -> Path:
        return self.path / "overlays" / f"{_file_stem(frame)}.jpg"

    def crop(self, frame: Frame, number: int) -> Path:
        return self.path / "crops" / f"{_file_stem(frame)}_{number}.jpg"

    def map(self, frame: Frame) -> Path:
        return self.path / "maps" / f"{_file_stem(frame)}.png"


def prepare_record_folder(path: Path, *, force: bool, saves_pictures: bool) -> RecordFolder:
    """Make the folder of a run, or empty one of ours when `force` is set.

    Raises: OutputError if it exists and is not ours, or cannot be written.
    """
    folder = RecordFolder(path)
    foreign = "was not written by edgeinspect run"
    refuse_foreign(path, marker=RECORDS, foreign=foreign, force=force)
    with output_errors(path):
        if path.exists():
            folder.records.unlink(missing_ok=True)
            (path / NOTICES).unlink(missing_ok=True)
            for name in (*FOLDERS, PLACES):
                shutil.rmtree(path / name, ignore_errors=True)
        path.mkdir(parents=True, exist_ok=True)
        for name in FOLDERS if saves_pictures else ():
            (path / name).mkdir()
    return folder


class RecordWriter:
    """Appends records to a file; use it inside a `with`."""

    def __init__(self, path: Path) -> None:
        """Raises: OutputError."""
        self.path = path
        self.n_written = 0
        with output_errors(path):
            self._file = path.open("xb", buffering=0)

    def write(self, record: Record) -> None:
        """Write one line, whole or not at all. Raises: OutputError."""
        line = memoryview(record.to_line().encode())
        start = self._file.tell()
        with output_errors(self.path):
            try:
                while line:
                    line = line[self._file.write(line) :]
            except OSError:
                self._file.truncate(start)
                raise
        self.n_written += 1

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _printable(name: str) -> str:
    """A file's name as text; bytes that are no UTF-8 are shown as the replacement character."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def _file_stem(frame: Frame) -> str:
    """`000012_name`: unique by the number, recognisable by the name."""
    stem = re.sub(r"[^\w.-]+", "_", Path(_printable(frame.source)).stem)
    short = stem.encode()[:LONGEST_STEM].decode(errors="ignore")
    return f"{frame.seq:06d}_{short}"
