"""Whatever sources, sessions and stops do: one record a delivered frame, in order."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import ResizeRule
from edgeinspect.errors import DataError, EngineError, OutputError
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.own_thread import OwnThreadSession
from edgeinspect.runtime.session import Scores, Session, open_session
from edgeinspect.stream.choices import Overload, Save
from edgeinspect.stream.frames import Delivery, Source
from edgeinspect.stream.inspectors import Inspectors
from edgeinspect.stream.pipeline import PipelineSettings
from edgeinspect.stream.records import Record
from edgeinspect.stream.run import RunSettings, RunSummary, run_stream
from edgeinspect.writing import LineFile
from tests.bundles import make_bundle
from tests.stream.made_frames import KINDS, MadeSource, read_records
from tests.stream.made_records import HANGS_S, wait_until

OF_LINES = settings(suppress_health_check=[HealthCheck.too_slow], max_examples=30)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle"), resize=ResizeRule.TILE))


@pytest.fixture(scope="module")
def inner(bundle: Bundle) -> Session:
    return open_session(bundle, threads=1)


class MadeSession:
    """Answers as the real one, unless told to fail at some calls or to wait for a gate."""

    name = "made"
    precision = engine = None
    max_batch = None

    def __init__(
        self,
        inner: Session,
        failing: Sequence[int] = (),
        gate: threading.Event | None = None,
    ) -> None:
        self.inner = inner
        self.failing = failing
        self.gate = gate
        self.batches: list[int] = []

    def infer(
        self, images: np.ndarray, tile: np.ndarray, *, map_above: float | None = None
    ) -> Scores:
        self.batches.append(len(images))
        if self.gate is not None:
            assert self.gate.wait(HANGS_S)
        if len(self.batches) - 1 in self.failing:
            raise EngineError(f"call {len(self.batches) - 1} failed")
        return self.inner.infer(images, tile)

    def close(self) -> None: ...

    def __enter__(self) -> MadeSession:
        return self

    def __exit__(self, *error: object) -> None: ...


class GatedSource(MadeSource):
    """A live source that opens the session's gate once it has delivered all."""

    def __init__(self, kinds: Sequence[str], gate: threading.Event) -> None:
        super().__init__(kinds, is_live=True)
        self.gate = gate

    def frames(self, stop: threading.Event | None = None) -> Delivery:
        yield from super().frames(stop)
        self.gate.set()


def run(
    inspector: Inspector | Inspectors,
    sources: Source | dict[str | None, Source],
    out: Path,
    **how: object,
) -> RunSummary:
    settings = RunSettings(save=Save.NONE, **how)  # type: ignore[arg-type]
    return run_stream(inspector, sources, out, settings)


def check(out: Path, summary: RunSummary, *, names: Sequence[str | None] = (None,)) -> None:
    """One record a frame, in order in each stream."""
    records = read_records(out)
    for name in names:
        of_stream = [record["seq"] for record in records if record["stream"] == name]
        assert of_stream == list(range(len(of_stream)))
    assert summary.n_frames == summary.n_records == len(records)


kinds = st.lists(st.sampled_from(KINDS), max_size=8)


@OF_LINES
@given(
    streams=st.lists(kinds, min_size=1, max_size=3),
    batch=st.integers(1, 4),
    overload=st.sampled_from(Overload),
    max_wait_ms=st.sampled_from([0.0, 2.0]),
    failing=st.sets(st.integers(0, 6)),
)
def test_every_delivered_frame_gets_one_record_in_the_order_of_its_stream(
    tmp_path_factory, bundle, inner, streams, batch, overload, max_wait_ms, failing
):
    out = tmp_path_factory.mktemp("run")
    sources: dict[str | None, Source] = {
        f"s{i}": MadeSource(stream, is_live=i % 2 == 0) for i, stream in enumerate(streams)
    }
    made = MadeSession(inner, sorted(failing))
    session = OwnThreadSession(lambda: made)  # type: ignore[arg-type]
    pipeline = PipelineSettings(max_wait_ms=max_wait_ms)
    with Inspector(bundle, session, batch=batch) as inspector:
        try:
            summary = run(inspector, sources, out, overload=overload, pipeline=pipeline)
        except EngineError:  # the second failure ends the run, after records of all
            records = read_records(out)
            for name in sources:
                seqs = [record["seq"] for record in records if record["stream"] == name]
                assert seqs == list(range(len(seqs)))
            return
    check(out, summary, names=list(sources))
    assert summary.n_records == sum(map(len, streams))


def test_a_camera_that_is_faster_than_the_session_keeps_its_newest_frame(tmp_path, bundle, inner):
    gate = threading.Event()
    made = MadeSession(inner, gate=gate)
    summary = run(Inspector(bundle, made), GatedSource(["good"] * 50, gate), tmp_path)
    check(tmp_path, summary)
    records = read_records(tmp_path)
    assert records[-1]["verdict"] == "OK"
    n_dropped = sum(record["reason"] == "overload" for record in records)
    assert n_dropped == 50 - len(made.batches) > 30


def test_files_always_wait_whatever_is_said_of_overload(tmp_path, bundle, inner):
    source = MadeSource(["good"] * 30)
    summary = run(Inspector(bundle, MadeSession(inner)), source, tmp_path, overload=Overload.LATEST)
    assert summary.is_all_ok


def test_batches_form_from_what_waits(tmp_path, bundle, inner):
    gate = threading.Event()
    made = MadeSession(inner, gate=gate)
    source = GatedSource(["good"] * 10, gate)
    summary = run(
        Inspector(bundle, made, batch=4),
        source,
        tmp_path,
        overload=Overload.BLOCK,
        pipeline=PipelineSettings(max_wait_ms=1e3 * HANGS_S),
    )
    assert summary.is_all_ok
    assert max(made.batches) == 4
    assert sum(made.batches) == 10


def test_one_part_does_not_wait_for_others_for_long(tmp_path, bundle, inner):
    class Asking(MadeSource):
        """Delivers the next frame when the one before has its record."""

        recorded = threading.Semaphore(1)

        def frames(self, stop: threading.Event | None = None) -> Delivery:
            for frame in super().frames(stop):
                assert self.recorded.acquire(timeout=HANGS_S)
                yield frame

    source = Asking(["good"] * 5)
    inspector = Inspector(bundle, MadeSession(inner), batch=8)
    summary = run_stream(
        inspector, source, tmp_path, on_record=lambda record: source.recorded.release()
    )
    assert summary.is_all_ok


def test_a_verdict_after_the_deadline_is_not_inspected_and_has_its_score(tmp_path, bundle, inner):
    settings = PipelineSettings(deadline_ms=0.0)
    summary = run(
        Inspector(bundle, MadeSession(inner)),
        MadeSource(["good", "broken"]),
        tmp_path,
        pipeline=settings,
    )
    late, broken = read_records(tmp_path)
    assert (late["verdict"], late["reason"]) == ("NOT-INSPECTED", "deadline")
    assert late["score"] is not None
    assert broken["reason"] == "unreadable"
    assert not summary.is_all_ok


def test_a_batch_that_fails_is_not_inspected_and_the_session_is_opened_again(
    tmp_path, bundle, inner
):
    made = MadeSession(inner, failing=[1])
    opened: list[int] = []

    def open_inner() -> MadeSession:
        opened.append(1)
        return made

    with Inspector(bundle, OwnThreadSession(open_inner)) as inspector:  # type: ignore[arg-type]
        run(inspector, MadeSource(["good"] * 4), tmp_path)
    assert [record["reason"] for record in read_records(tmp_path)] == [None, "engine", None, None]
    assert len(opened) == 2


def test_a_session_that_fails_again_ends_the_run_with_records_of_all(tmp_path, bundle, inner):
    made = MadeSession(inner, failing=[1, 2])
    with (
        Inspector(bundle, OwnThreadSession(lambda: made)) as inspector,  # type: ignore[arg-type]
        pytest.raises(EngineError, match="call 2 failed"),
    ):
        run(inspector, MadeSource(["good"] * 50), tmp_path)
    records = read_records(tmp_path)
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert {record["reason"] for record in records[1:]} == {"engine"}
    assert len(records) < 50


def test_a_source_that_fails_ends_the_run_after_the_frames_before_it(tmp_path, bundle, inner):
    class Failing(MadeSource):
        def frames(self, stop: threading.Event | None = None) -> Delivery:
            yield from super().frames(stop)
            raise DataError("the drive was unplugged")

    with pytest.raises(DataError, match="unplugged"):
        run(Inspector(bundle, MadeSession(inner)), Failing(["good"] * 3), tmp_path)
    assert [record["seq"] for record in read_records(tmp_path)] == [0, 1, 2]


def test_a_bug_in_a_stage_ends_the_run_and_leaves_no_thread(tmp_path, bundle, inner):
    class Broken(Inspector):
        def judge(self, *args: object, **keys: object) -> object:  # type: ignore[override]
            raise AssertionError("a bug")

    before = set(threading.enumerate())
    with pytest.raises(AssertionError, match="a bug"):
        run(Broken(bundle, MadeSession(inner)), MadeSource(["good"] * 50), tmp_path)
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_a_run_is_resumed_with_the_first_frame_without_record(tmp_path, bundle, inner):
    stop = threading.Event()
    inspector = Inspector(bundle, MadeSession(inner))
    run_stream(
        inspector,
        MadeSource(["good"] * 30),
        tmp_path,
        stop=stop,
        on_record=lambda record: stop.set() if record.frame.seq == 5 else None,
    )
    n_first = len(read_records(tmp_path))
    summary = run(inspector, MadeSource(["good"] * 30), tmp_path, resume=True)
    records = read_records(tmp_path)
    assert [record["seq"] for record in records] == list(range(30))
    assert [record["source"] for record in records] == [f"line/{i}_good.png" for i in range(30)]
    assert (summary.n_before, summary.n_records) == (n_first, 30 - n_first)


def test_frames_know_the_bundle_that_judged_them(tmp_path, bundle, inner):
    run(Inspector(bundle, MadeSession(inner)), MadeSource(["good"]), tmp_path)
    (record,) = read_records(tmp_path)
    assert record["bundle"] == bundle.short_id
    other = dataclasses.replace(bundle.manifest, calibration=None)
    assert dataclasses.replace(bundle, manifest=other).short_id != bundle.short_id


class FullDisk:
    """While it is set no record can be appended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = threading.Event()
        append = LineFile.append

        def append_unless_full(file: LineFile, line: bytes, *, is_synced: bool = False) -> None:
            if self.is_full.is_set():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            append(file, line, is_synced=is_synced)

        monkeypatch.setattr(LineFile, "append", append_unless_full)

    def fill_at(self, seq: int) -> Callable[[Record], None]:
        return lambda record: self.is_full.set() if record.frame.seq == seq else None


def test_the_line_goes_on_while_the_disk_is_full_and_no_record_is_lost(
    tmp_path, bundle, inner, monkeypatch
):
    disk, judged = FullDisk(monkeypatch), []

    def on_record(record: Record) -> None:
        disk.fill_at(2)(record)
        judged.append((record.frame.seq, len(read_records(tmp_path))))
        if record.frame.seq == 15:
            disk.is_full.clear()

    summary = run_stream(
        Inspector(bundle, MadeSession(inner)),
        MadeSource(["good"] * 20, is_live=True),
        tmp_path,
        RunSettings(overload=Overload.BLOCK, save=Save.NONE),
        on_record=on_record,
    )
    assert (15, 3) in judged
    assert [record["seq"] for record in read_records(tmp_path)] == list(range(20))
    assert summary.n_frames == summary.n_records == 20


def test_a_disk_that_stays_full_ends_the_run_and_names_what_has_no_record(
    tmp_path, bundle, inner, monkeypatch
):
    disk = FullDisk(monkeypatch)
    inspector = Inspector(bundle, MadeSession(inner))
    with pytest.raises(OutputError, match="no space is left") as caught:
        run_stream(
            inspector,
            MadeSource(["good"] * 20),
            tmp_path,
            RunSettings(hold_s=0),
            on_record=disk.fill_at(2),
        )
    told = re.search(r"(\d+) delivered frames have no record: (\d+) to (\d+)", str(caught.value))
    assert told is not None
    n_without, first, last = map(int, told.groups())
    assert (first, n_without) == (3, last - first + 1)
    disk.is_full.clear()
    run(inspector, MadeSource(["good"] * 20), tmp_path, resume=True)
    assert [record["seq"] for record in read_records(tmp_path)] == list(range(20))
