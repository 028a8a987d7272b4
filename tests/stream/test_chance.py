"""Runs by chance: sources, settings, failures and restarts in combinations that nobody chose.

A run is started again and again, each time with troubles of its own, and at last without any.
Whatever came together: every frame of a file has one record, in order, with its own verdict.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeinspect.bundle import read_bundle
from edgeinspect.errors import DataError, EdgeInspectError, EngineError
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.own_thread import OwnThreadSession
from edgeinspect.runtime.session import Session, open_session
from edgeinspect.stream import record_file
from edgeinspect.stream import run as run_module
from edgeinspect.stream.choices import Fsync, Overload, Save
from edgeinspect.stream.frames import Delivery, Recorded, Source
from edgeinspect.stream.inspectors import Inspectors
from edgeinspect.stream.pipeline import PipelineSettings
from edgeinspect.stream.reading import Selection
from edgeinspect.stream.records import Record
from edgeinspect.stream.run import RunSettings, run_stream
from edgeinspect.writing import LineFile
from tests.bundles import make_bundle
from tests.stream.made_frames import KINDS, made_frame, read_records
from tests.stream.made_records import wait_until
from tests.stream.test_inspectors import recalibrate

STRICT = 1e-9  # the threshold of the other bundle
SOON_S = 0.001


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one source has to deliver."""

    kinds: tuple[str, ...]
    is_live: bool

    @property
    def names(self) -> list[str]:
        return [made_frame(seq, kind).source for seq, kind in enumerate(self.kinds)]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What goes wrong during one start; places are counted from its beginning.

    Attributes:
        engine, disk: calls of the session and lines of the file that fail.
        swap, stop: after how many records; fail: before which frame of the first source.
        hold_s: how long records may wait for the disk.
    """

    engine: frozenset[int] = frozenset()
    disk: frozenset[int] = frozenset()
    swap: int | None = None
    stop: int | None = None
    fail: int | None = None
    hold_s: float = 60.0


places = st.none() | st.integers(0, 8)
troubles = st.builds(
    Trouble,
    engine=st.frozensets(st.integers(0, 6), max_size=2),
    disk=st.frozensets(st.integers(0, 9), max_size=3),
    swap=places,
    stop=places,
    fail=places,
    hold_s=st.sampled_from([0.0, 60.0]),
)
lines = st.builds(
    Line, kinds=st.lists(st.sampled_from(KINDS), max_size=9).map(tuple), is_live=st.booleans()
)
how_to_run = st.builds(
    RunSettings,
    save=st.sampled_from([Save.NG, Save.NONE]),
    keep_gib=st.sampled_from([0.0, 1e-5, 1.0]),
    resume=st.just(True),
    fsync=st.sampled_from(Fsync),
    overload=st.sampled_from(Overload),
    selection=st.builds(Selection, every=st.integers(1, 3)),
    pipeline=st.builds(
        PipelineSettings,
        max_wait_ms=st.sampled_from([0.0, 1.0]),
        deadline_ms=st.none() | st.just(0.0),
    ),
)


class Drawn:
    """The source of a line; raises before frame `fail`."""

    folders: frozenset[Path] = frozenset()

    def __init__(self, line: Line, fail: int | None) -> None:
        self.is_live, self.is_lossless = line.is_live, not line.is_live
        self._names, self._kinds, self._fail = line.names, line.kinds, fail

    @property
    def n_frames(self) -> int:
        return len(self._names)

    def skip(self, recorded: Recorded) -> None:
        if self.is_lossless:
            self._names = list(recorded.without(self._names))

    def frames(self, stop: threading.Event | None = None) -> Delivery:
        for place, name in enumerate(self._names):
            if place == self._fail:
                raise DataError("the camera is gone")
            seq, kind = name.removeprefix("line/").removesuffix(".png").split("_")
            frame = made_frame(int(seq), kind)
            if self.is_live and frame.picture is not None:  # a grey camera
                frame = replace(frame, picture=frame.picture[..., 0])
            yield frame


@dataclass
class Box:
    """The machine: its disk, its engine, and two bundles that `path` may lead to."""

    path: Path
    bundles: tuple[Path, Path]
    trouble: Trouble = field(default_factory=Trouble)
    n_calls: int = 0
    n_lines: int = 0

    def begin(self, trouble: Trouble) -> None:
        self.trouble, self.n_calls, self.n_lines = trouble, 0, 0

    def swap(self) -> None:
        other = self.bundles[self.path.resolve() == self.bundles[0]]
        link = self.path.with_name("link")
        link.symlink_to(other)
        link.replace(self.path)

    def inspector(self, batch: int) -> Inspector:
        bundle = read_bundle(self.path)
        return Inspector(
            bundle,
            OwnThreadSession(lambda: Flaky(self, open_session(bundle, threads=1))),
            batch=batch,
        )

    def fail(self, what: str) -> bool:
        """Whether this call fails."""
        if what == "engine":
            self.n_calls += 1
            return self.n_calls - 1 in self.trouble.engine
        self.n_lines += 1
        return self.n_lines - 1 in self.trouble.disk


class Flaky:
    """A session that fails when the box does."""

    def __init__(self, box: Box, inner: Session) -> None:
        self._box, self._inner = box, inner
        self.name, self.precision, self.engine = inner.name, inner.precision, inner.engine
        self.max_batch = inner.max_batch

    def infer(self, *args: object, **keys: object) -> object:
        if self._box.fail("engine"):
            raise EngineError("the GPU fell off the bus")
        return self._inner.infer(*args, **keys)  # type: ignore[arg-type]

    def close(self) -> None:
        self._inner.close()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    one, other = (make_bundle(tmp_path_factory.mktemp("bundle")).resolve() for _ in range(2))
    recalibrate(other, STRICT)
    path = one.with_name("in_use")
    path.symlink_to(one)
    box = Box(path=path, bundles=(one, other))
    append = LineFile.append

    def append_or_fail(file: LineFile, line: bytes, *, is_synced: bool = False) -> None:
        if box.fail("disk"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(file, line, is_synced=is_synced)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LineFile, "append", append_or_fail)
        patch.setattr(record_file, "RETRY_S", SOON_S)
        patch.setattr(run_module, "TICK_S", SOON_S)
        yield box


def start(box: Box, drawn: list[Line], out: Path, how: RunSettings, batch: int) -> bool:
    """One start; whether it ended well. Its summary counts the records that it wrote."""
    trouble, stop, n = box.trouble, threading.Event(), iter(range(10**9))
    before = len(read_records(out)) if out.exists() else 0
    sources: dict[str | None, Source] = {
        str(place): Drawn(line, trouble.fail if place == 0 else None)
        for place, line in enumerate(drawn)
    }

    def on_record(record: Record) -> None:
        place = next(n)
        if place == trouble.swap:
            box.swap()
        if place == trouble.stop:
            stop.set()

    with box.inspector(batch) as first, Inspectors(first, lambda: box.inspector(batch)) as both:
        try:
            summary = run_stream(both, sources, out, how, stop=stop, on_record=on_record)
        except EdgeInspectError:
            return False
    assert summary.n_frames == summary.n_records == len(read_records(out)) - before
    return True


def check(out: Path, thresholds: Mapping[str, float]) -> None:
    """What holds after each start, however it ended."""
    next_seq: dict[str, int] = {}
    for record in read_records(out):
        assert record["seq"] == next_seq.setdefault(record["stream"], 0)
        next_seq[record["stream"]] += 1
        kind = record["source"].split("_")[1].removesuffix(".png")
        if record["reason"] is not None:
            assert record["verdict"] == "NOT-INSPECTED"
            continue
        assert kind in ("good", "bad", "wide")
        assert record["threshold"] == thresholds[record["bundle"]]
        assert record["verdict"] == ("NG" if record["score"] > record["threshold"] else "OK")
        assert record["threshold"] == STRICT or (record["verdict"] == "NG") == (kind == "bad")


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    drawn=st.lists(lines, min_size=1, max_size=3),
    starts=st.lists(troubles, max_size=3),
    how=how_to_run,
    batch=st.sampled_from([1, 2, 5, 16]),
)
def test_whatever_comes_together_each_frame_of_a_file_has_its_record(
    tmp_path_factory, box, drawn, starts, how, batch
):
    out = tmp_path_factory.mktemp("run") / "out"
    read = map(read_bundle, box.bundles)
    thresholds = {b.short_id: b.require_calibration().threshold.value for b in read}
    threads = set(threading.enumerate())
    for trouble in starts:
        box.begin(trouble)
        start(box, drawn, out, replace(how, hold_s=trouble.hold_s), batch)
        check(out, thresholds)
    box.begin(Trouble())
    assert start(box, drawn, out, how, batch)
    check(out, thresholds)
    wait_until(lambda: set(threading.enumerate()) <= threads)
    records = read_records(out)
    for place, line in enumerate(drawn):
        names = [record["source"] for record in records if record["stream"] == str(place)]
        if not line.is_live:
            assert names == line.names[:: how.selection.every]
