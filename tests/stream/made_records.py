"""Records as a run makes them, without a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from edgeinspect.runtime.inspection import Inspection, Reason, Verdict
from edgeinspect.stream.judge import Judge
from edgeinspect.stream.records import RECORDS, Record, StageLatency
from edgeinspect.stream.sinks import RunInfo
from tests.stream.made_frames import made_frame

HANGS_S = 120.0  # what is awaited so long does not come, on however busy a machine

JUDGE = Judge(
    bundle="part",
    bundle_hash="0123456789ab",
    calibration="calibration-1.npz",
    runtime="onnxruntime",
    precision="fp32",
)
ABOUT = RunInfo(
    judge=JUDGE,
    threshold=2.0,
    tool_version="0.1.0",
    sources=("camera",),
)


def made_record(seq: int, verdict: Verdict = Verdict.OK, **keys: Any) -> Record:
    """A record of a made frame; its score is half or twice the threshold of 2."""
    is_judged = verdict is not Verdict.NOT_INSPECTED
    inspection = Inspection(
        verdict=verdict,
        threshold=2.0,
        picture_hw=(64, 64),
        reason=None if is_judged else Reason.SIZE,
        detail=None if is_judged else "too small",
        score=keys.pop("score", 1.0 if verdict is Verdict.OK else 4.0) if is_judged else None,
        **keys,
    )
    latency = StageLatency(decode=1.0, prepare=2.0, infer=10.0, post=3.0, total=20.0)
    frame = made_frame(seq, "bad" if verdict is Verdict.NG else "good")
    return Record(frame=frame, inspection=inspection, latency=latency, runtime="onnxruntime")


def written(folder: Path, n: int, start: int = 0) -> None:
    """Append `n` records to the folder's records.jsonl."""
    lines = "".join(made_record(start + i).to_line() for i in range(n))
    with (folder / RECORDS).open("a", encoding="utf-8") as file:
        file.write(lines)


def wait_until(is_so: Any, *, within_s: float = HANGS_S) -> None:
    """Return as soon as something is so; fails the test when it does not become so."""
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)  # other threads and programs are waited for, not a duration
