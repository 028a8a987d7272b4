"""Every stage of `run` for one part, one after the other, and the time from file to record.

Nothing overlaps here, so that each stage has its own time; `run` decodes ahead, which hides what
decoding costs as long as judging takes longer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from edgeinspect.bench.pictures import BenchPictures
from edgeinspect.bench.variants import Variant
from edgeinspect.bundle import Bundle
from edgeinspect.runtime.inspection import Inspection
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.session import DeviceTimes, TimedSession
from edgeinspect.stream.frames import Frame
from edgeinspect.stream.record_file import RecordWriter
from edgeinspect.stream.records import Record, StageLatency
from edgeinspect.stream.sources.files import read_frame

__all__ = ["STAGES", "StageTimes", "measure_stages"]

STAGES = ("decode", "resize", "copy_in", "compute", "copy_out", "host", "post_process", "record")
N_WARM_UP = 2
N_DEVICE_TIMES = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageTimes:
    """Milliseconds a part, medians; what a runtime does not have is None.

    Attributes:
        copy_in, compute, copy_out: on the device, where the runtime has one. On a CPU `compute` is
            all of the call.
        host: the rest of the call: launching and waiting.
        end_to_end: from the file to its record.
        calls_ms: (n,), end to end for a whole batch of parts, as they came.
        n_parts: parts in such a batch.
    """

    decode: float
    resize: float
    copy_in: float | None
    compute: float
    copy_out: float | None
    host: float | None
    post_process: float
    record: float
    end_to_end: float
    calls_ms: NDArray[np.float64]
    n_parts: int

    def shares(self) -> list[tuple[str, float]]:
        """(stage, milliseconds) of the stages that there are, in the order of the flow."""
        found = [(name, getattr(self, name)) for name in STAGES]
        return [(name, value) for name, value in found if value is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """Milliseconds of one batch of parts."""

    decode: float
    resize: float
    infer: float
    post_process: float
    record: float
    total: float


def measure_stages(
    bundle: Bundle, variant: Variant, pictures: BenchPictures, *, n_calls: int
) -> StageTimes:
    """Judge pictures as `run` does, `n_calls` batches, with a clock around each stage.

    The bundle is calibrated. Takes as long as that many batches, and two more.
    """
    inspector = Inspector(bundle, variant.session, batch=variant.key.batch, maps_of_all=False)
    n_parts = pictures.parts_of(variant.key.batch)
    batches = _batches(pictures.paths, n_parts)
    with TemporaryDirectory() as folder, RecordWriter(Path(folder) / "records.jsonl") as writer:
        calls = [_call(next(batches), inspector, writer) for _ in range(N_WARM_UP + n_calls)]
    device = _device_times_of_an_image(variant)
    return _summed_up(calls[N_WARM_UP:], n_parts, device, pictures.tiles_of_one)


def _batches(paths: Sequence[Path], n_parts: int) -> Iterator[list[Path]]:
    first = 0
    while True:
        yield [paths[(first + i) % len(paths)] for i in range(n_parts)]
        first += n_parts


def _call(paths: list[Path], inspector: Inspector, writer: RecordWriter) -> _Call:
    start = time.perf_counter()
    white = inspector.white_level_16bit
    frames = [read_frame(path, white, seq) for seq, path in enumerate(paths)]
    found = inspector([frame.picture for frame in frames if frame.picture is not None])
    judged = time.perf_counter()
    for frame, inspection in zip(frames, found, strict=True):
        writer.write(_record(frame, inspection, inspector.runtime))
    end = time.perf_counter()
    return _Call(
        decode=sum(frame.decode_ms for frame in frames),
        resize=sum(one.timing.prepare_ms for one in found),
        infer=found[0].timing.infer_ms,
        post_process=sum(one.timing.post_ms for one in found),
        record=1e3 * (end - judged),
        total=1e3 * (end - start),
    )


def _record(frame: Frame, inspection: Inspection, runtime: str) -> Record:
    timing = inspection.timing
    latency = StageLatency(
        decode=frame.decode_ms,
        prepare=timing.prepare_ms,
        infer=timing.infer_ms,
        post=timing.post_ms,
        total=1e3 * (time.perf_counter() - frame.started_s),
    )
    return Record(frame=frame, inspection=inspection, latency=latency, runtime=runtime)


def _device_times_of_an_image(variant: Variant) -> DeviceTimes | None:
    """Medians on the device, an image's share of a full batch, where the runtime has one."""
    if not isinstance(variant.session, TimedSession):
        return None
    variant.infer()
    times = variant.session.device_times(variant.key.batch, N_DEVICE_TIMES)
    names, n_images = DeviceTimes.__slots__, variant.key.batch
    medians = {name: float(np.median([getattr(t, name) for t in times])) for name in names}
    return DeviceTimes(**{name: median / n_images for name, median in medians.items()})


def _summed_up(
    calls: Sequence[_Call], n_parts: int, device: DeviceTimes | None, images_a_part: float
) -> StageTimes:
    def a_part(name: str) -> float:
        return float(np.median([getattr(call, name) for call in calls])) / n_parts

    infer = a_part("infer")
    on_device: dict[str, float | None] = {"copy_in": None, "copy_out": None, "host": None}
    compute = infer
    if device is not None:
        compute = device.compute_ms * images_a_part
        sides = device.copy_in_ms * images_a_part, device.copy_out_ms * images_a_part
        rest = max(0.0, infer - compute - sum(sides))
        on_device = {"copy_in": sides[0], "copy_out": sides[1], "host": rest}
    return StageTimes(
        decode=a_part("decode"),
        resize=a_part("resize"),
        compute=compute,
        post_process=a_part("post_process"),
        record=a_part("record"),
        end_to_end=a_part("total"),
        calls_ms=np.array([call.total for call in calls]),
        n_parts=n_parts,
        **on_device,
    )
