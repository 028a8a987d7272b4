"""Records: one JSON line for every frame, and the folder that a run writes.

    OUT/records.jsonl          one line a frame, in order, flushed as it is written
    OUT/overlays/SEQ_NAME.jpg  the picture with heat, boxes and verdict, for people
    OUT/crops/SEQ_NAME_1.jpg   the strongest regions of an NG part, in the picture's own pixels
    OUT/notices.jsonl          one line for each outage, drift and the like, as soon as it is told
    OUT/sinks/                 how far each durable sink has come in records.jsonl
    OUT/maps/SEQ_NAME.png      the anomaly map, 16-bit grey: z = value / 256, from 0 to 255.99

The file is valid after every line: a line that does not fit on the disk is taken back, and one
that a kill tore is cut off at the next start (`resuming.py`).
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgeinspect.numbers import finite
from edgeinspect.runtime.inspection import Inspection, Reason, Verdict
from edgeinspect.stream.frames import Frame
from edgeinspect.stream.plain import printable
from edgeinspect.writing import output_errors, refuse_foreign

__all__ = [
    "FOLDERS",
    "NOTICES",
    "OVERLAYS",
    "PLACES",
    "RECORDS",
    "Record",
    "RecordFolder",
    "StageLatency",
    "past_deadline",
    "prepare_record_folder",
    "was_judged",
]

RECORDS = "records.jsonl"
NOTICES = "notices.jsonl"
OVERLAYS = "overlays"
FOLDERS = (OVERLAYS, "maps", "crops")
PLACES = "sinks"  # how far each durable sink has come
JUDGED = frozenset({None, Reason.DEADLINE, Reason.NON_FINITE, Reason.BLANK})
LONGEST_STEM = 120  # bytes of a source's name in the names of files


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLatency:
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
    """What is kept about a frame.

    Attributes:
        bundle: `Bundle.short_id` of the one that judged it.
        map: the path of its map in the run's folder, or None.
    """

    frame: Frame
    inspection: Inspection
    latency: StageLatency
    runtime: str
    bundle: str = ""
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
            "stream": self.frame.stream,
            "source": printable(self.frame.source),
            "time": datetime.fromtimestamp(self.frame.time_s, timezone.utc).isoformat(
                timespec="milliseconds"
            ),
            "verdict": found.verdict.value,
            "reason": None if found.reason is None else found.reason.value,
            "score": finite(found.score),
            "local_score": finite(found.local_score),
            "global_score": finite(found.global_score),
            "threshold": finite(found.threshold),
            "measure": None if found.measure is None else found.measure.value,
            "scale": found.scale,
            "regions": [
                {"box": list(r.box), "area_px": r.area_px, "peak": finite(r.peak)}
                for r in found.regions
            ],
            "latency_ms": {
                name: round(float(getattr(self.latency, name)), 3)
                for name in StageLatency.__slots__
            },
            "runtime": self.runtime,
            "bundle": self.bundle,
            "map": self.map,
            "notices": [notice.to_plain() for notice in self.frame.notices],
        }


def was_judged(reason: str | None) -> bool:
    """Whether a part with this `reason`, None for OK and NG, went all the way to its verdict.

    Wherever latencies are told they are those of such parts: a frame that was dropped or could not
    be read has come to nothing in no time, or after long, and is counted by its reason instead.
    """
    return reason in JUDGED


def past_deadline(found: Inspection, total_ms: float, deadline_ms: float) -> Inspection:
    """The inspection itself, or NOT-INSPECTED with all its figures if it comes too late."""
    if total_ms <= deadline_ms or found.verdict is Verdict.NOT_INSPECTED:
        return found
    return dataclasses.replace(
        found,
        verdict=Verdict.NOT_INSPECTED,
        reason=Reason.DEADLINE,
        detail=f"the verdict {found.verdict.value} came {total_ms:.0f} ms after delivery,"
        f" later than {deadline_ms:g} ms",
    )


class RecordFolder:
    """The names of files in a run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def records(self) -> Path:
        return self.path / RECORDS

    def overlay(self, frame: Frame) -> Path:
        return self.path / OVERLAYS / f"{_file_stem(frame)}.jpg"

    def crop(self, frame: Frame, number: int) -> Path:
        return self.path / "crops" / f"{_file_stem(frame)}_{number}.jpg"

    def map(self, frame: Frame) -> Path:
        return self.path / "maps" / f"{_file_stem(frame)}.png"


def prepare_record_folder(
    path: Path, *, force: bool, saves_pictures: bool, resume: bool = False
) -> RecordFolder:
    """Make the folder of a run, empty one of ours when `force` is set, or keep it to `resume`.

    Raises: OutputError if it exists and is not ours, or cannot be written.
    """
    folder = RecordFolder(path)
    refuse_foreign(
        path,
        marker=RECORDS if folder.records.exists() else NOTICES,  # somebody may archive records
        foreign="was not written by edgeinspect run",
        force=force or resume,
        hint="add --resume to go on with it, or --force to replace it",
    )
    with output_errors(path):
        if path.exists() and not resume:
            _empty(folder)
        path.mkdir(parents=True, exist_ok=True)
        folder.records.touch()  # first, so that a start that fails leaves a folder known as ours
        for name in FOLDERS if saves_pictures else ():
            (path / name).mkdir(exist_ok=True)
    return folder


def _empty(folder: RecordFolder) -> None:
    """Remove what a run left; the file of records, by which it is known as ours, stays."""
    for name in (*FOLDERS, PLACES):
        shutil.rmtree(folder.path / name, ignore_errors=True)
    (folder.path / NOTICES).unlink(missing_ok=True)
    folder.records.write_bytes(b"")


def _file_stem(frame: Frame) -> str:
    """`000012_name` or `STREAM_000012_name`: unique by the number, recognisable by the name."""
    stem = re.sub(r"[^\w.-]+", "_", Path(printable(frame.source)).stem)
    short = stem.encode()[:LONGEST_STEM].decode(errors="ignore")
    stream = "" if frame.stream is None else f"{frame.stream}_"
    return f"{stream}{frame.seq:06d}_{short}"
