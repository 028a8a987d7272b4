from __future__ import annotations

import contextlib
import dataclasses
import shutil
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeinspect.bundle import install_calibration, read_bundle
from edgeinspect.constants import Calibration, Threshold
from edgeinspect.errors import BundleError, EngineError, ParityError
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.stream import inspectors as inspectors_module
from edgeinspect.stream.inspectors import Inspectors
from edgeinspect.stream.judge import Judge
from edgeinspect.stream.notices import Notice
from edgeinspect.stream.opening import InspectorSettings, open_inspector_for_stream
from edgeinspect.stream.records import Record
from edgeinspect.stream.run import Run, run_stream
from tests.bundles import make_bundle
from tests.stream.made_frames import MadeSource, read_records
from tests.stream.made_records import HANGS_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_bundle(tmp_path, has_golden=True)


@pytest.fixture
def how(path: Path) -> InspectorSettings:
    return InspectorSettings(path=path, runtime="onnxruntime", threads=1)


def opened(how: InspectorSettings) -> Inspector:
    return open_inspector_for_stream(how, read_bundle(how.path))


def recalibrate(path: Path, value: float) -> None:
    """Another threshold, as `calibrate` would install it."""
    calibration = read_bundle(path).require_calibration()
    threshold: Threshold = dataclasses.replace(
        calibration.threshold, value=value, interval=(value / 2, 2 * value)
    )
    install_calibration(read_bundle(path), dataclasses.replace(calibration, threshold=threshold))


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspectors_module, "LOOK_S", 0.0)


def settle(inspectors: Inspectors) -> None:
    """Look twice, since a bundle must stand still, and wait for what is loaded."""
    inspectors.check()
    inspectors.check()
    if inspectors._loading is not None:
        inspectors._loading.join()


def test_a_bundle_that_was_calibrated_again_is_taken(how):
    notices: list[Notice] = []
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        inspectors.note = notices.append
        settle(inspectors)
        assert inspectors.current is first
        recalibrate(how.path, 99.0)
        settle(inspectors)
        assert inspectors.current.threshold == 99.0
        assert inspectors.current.bundle.short_id != first.bundle.short_id
        judge = Judge.of(inspectors.current)
    assert [(notice.kind.value, notice.values) for notice in notices] == [
        ("bundle", judge.to_plain())
    ]


def test_a_bundle_that_was_replaced_before_its_first_part_is_closed(how):
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        passed_over = []
        for value in (99.0, 98.0):
            recalibrate(how.path, value)
            settle(inspectors)
            passed_over.append(inspectors.current)
        inspectors.used(inspectors.current)
        is_open = [inspector._session._inner._graph._session for inspector in passed_over]
    assert [session is not None for session in is_open] == [False, True]


def test_what_judges_has_the_hash_of_records_and_the_precision_that_runs(how):
    with opened(how) as inspector:
        judge = Judge.of(inspector)
    assert (judge.runtime, judge.precision, judge.engine) == ("onnxruntime", "fp32", "")
    assert judge.bundle_hash == inspector.bundle.short_id
    assert judge.calibration in inspector.bundle.manifest.files


def test_a_damaged_bundle_is_refused_and_the_old_one_stays(how):
    notices: list[Notice] = []
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        inspectors.note = notices.append
        recalibrate(how.path, 99.0)
        (how.path / "graph_fp32.onnx").write_bytes(b"damaged")
        settle(inspectors)
        assert inspectors.current is first
    assert "refused" in notices[0].text
    assert "graph_fp32.onnx is damaged" in notices[0].text


def test_a_bundle_that_is_copied_in_place_is_taken_once_all_of_it_has_come(how, tmp_path):
    other = make_bundle(tmp_path / "other", has_golden=True)
    recalibrate(other, 99.0)
    notices: list[Notice] = []
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        inspectors.note = notices.append
        for file in sorted(other.iterdir(), key=lambda file: file.name != "manifest.json"):
            shutil.copy(file, how.path)
            inspectors.check()  # it has changed since the look before
        assert inspectors.current is first
        settle(inspectors)
        assert inspectors.current.threshold == 99.0
    assert len(notices) == 1


def test_a_bundle_that_does_not_compute_what_was_trained_is_refused(how, monkeypatch):
    from edgeinspect.parity import Golden

    load = Golden.load
    monkeypatch.setattr(
        Golden,
        "load",
        lambda path: dataclasses.replace(load(path), score=load(path).score + np.float32(1.0)),
    )
    with pytest.raises(ParityError, match="does not compute what was trained"):
        how.reopen()


def test_a_bundle_for_pictures_of_another_white_is_refused_while_a_run_goes_on(how):
    how = dataclasses.replace(how, white_level_16bit=65535)
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        notices: list[Notice] = []
        inspectors.note = notices.append
        shutil.rmtree(how.path)
        make_bundle(how.path.parent, white_level_16bit=4095)
        settle(inspectors)
        assert inspectors.current is first
    (notice,) = notices
    assert "the old one stays" in notice.text
    assert "has white_level_16bit=4095, and pictures are read with 65535" in notice.text


def test_a_bundle_that_was_only_touched_is_not_opened_again(how, caplog):
    caplog.set_level("INFO")
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        inspectors.ask()
        settle(inspectors)
        assert inspectors.current is first
    assert "is the bundle in use: nothing changes" in caplog.text


def test_who_asks_is_told_of_a_damaged_file_that_the_manifest_does_not_know_of(how):
    notices: list[Notice] = []
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        inspectors.note = notices.append
        (how.path / "graph_fp32.onnx").write_bytes(b"damaged")
        inspectors.ask()
        settle(inspectors)
        assert inspectors.current is first
    assert "the old one stays" in notices[0].text
    assert "graph_fp32.onnx is damaged" in notices[0].text


def test_a_session_is_not_opened_again_from_the_graph_of_another_bundle(how):
    graph = onnx.load(how.path / "graph_fp32.onnx")
    graph.doc_string = "of another training"
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        onnx.save(graph, how.path / "graph_fp32.onnx")
        error = inspectors.restart(first, EngineError("the GPU fell off the bus"))
    assert isinstance(error, BundleError)
    assert "graph_fp32.onnx is damaged" in str(error)


def test_a_session_is_opened_again_while_its_bundle_is_calibrated(how):
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        recalibrate(how.path, 99.0)
        assert inspectors.restart(first, EngineError("the GPU fell off the bus")) is None


def test_while_the_bundle_is_being_replaced_nothing_happens(how):
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        how.path.rename(how.path.with_name("aside"))
        settle(inspectors)
        assert inspectors.current is first


def test_a_swap_between_two_parts_leaves_none_unjudged(tmp_path, how):
    class Swapping(MadeSource):
        """Waits in the middle for the bundle that is calibrated there."""

        def frames(self, stop: threading.Event | None = None):  # type: ignore[no-untyped-def]
            for frame in super().frames(stop):
                if frame.seq == 10:
                    recalibrate(how.path, 1e-6)
                    assert swapped.wait(HANGS_S)
                yield frame

    swapped = threading.Event()
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        run_stream(
            inspectors,
            Swapping(["good"] * 20),
            tmp_path / "out",
            on_tick=lambda run: swapped.set() if inspectors.current is not first else None,
        )
        # the first is the caller's to close; the run has not used it since
    records = read_records(tmp_path / "out")
    assert [record["seq"] for record in records] == list(range(20))
    assert {record["verdict"] for record in records[10:]} == {"NG"}
    assert records[0]["verdict"] == "OK"
    assert len({record["bundle"] for record in records}) == 2


def test_the_outlets_learn_of_the_calibration_that_judges_from_now_on(tmp_path, how):
    class Outlet:
        def __init__(self) -> None:
            self.thresholds: list[float] = []

        def begin(self) -> None: ...

        def put(self, record: Record) -> None: ...

        def note(self, notice: Notice) -> None: ...

        def use(self, calibration: Calibration) -> None:
            self.thresholds.append(calibration.threshold.value)

    class Waiting(MadeSource):
        def frames(self, stop: threading.Event | None = None):  # type: ignore[no-untyped-def]
            recalibrate(how.path, 99.0)
            assert is_looked_at_again.wait(HANGS_S)
            yield from super().frames(stop)

    def on_tick(run: Run) -> None:
        if inspectors.current is not first:
            ticks.append(run)
        if len(ticks) > 1:
            is_looked_at_again.set()

    outlet, is_looked_at_again = Outlet(), threading.Event()
    ticks: list[Run] = []
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        run_stream(
            inspectors,
            Waiting(["good"]),
            tmp_path / "out",
            connect=lambda run: contextlib.nullcontext(outlet),
            on_tick=on_tick,
        )
    assert outlet.thresholds == [99.0]


def test_another_way_to_cut_than_was_calibrated_is_warned_of(how, caplog):
    other = dataclasses.replace(how, tile=True)
    with opened(other) as inspector:
        assert inspector.bundle.config.preprocess.resize.value == "tile"
    assert "calibrated with resize=squash" in caplog.text


def test_a_bundle_that_was_half_copied_is_taken_once_it_is_whole(how):
    notices: list[Notice] = []
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        inspectors.note = notices.append
        whole = (how.path / "maps_fp32.onnx").read_bytes()
        recalibrate(how.path, 99.0)
        (how.path / "maps_fp32.onnx").write_bytes(whole[:100])
        settle(inspectors)
        assert inspectors.current is first
        (how.path / "maps_fp32.onnx").write_bytes(whole)
        settle(inspectors)
        settle(inspectors)  # it stands still
        assert inspectors.current.threshold == 99.0
    assert ["refused" in notice.text for notice in notices] == [True, False]


def test_a_bundle_that_stays_bad_is_refused_once(how):
    notices: list[Notice] = []
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        inspectors.note = notices.append
        recalibrate(how.path, 99.0)
        (how.path / "graph_fp32.onnx").write_bytes(b"damaged")
        for i in range(6):
            (how.path / "other").write_bytes(bytes(i // 2))
            settle(inspectors)
    assert len(notices) == 1


def test_a_bundle_that_changed_while_its_session_was_opened_is_taken(how):
    with opened(how) as first:
        recalibrate(how.path, 99.0)
        with Inspectors(first, how.reopen) as inspectors:
            settle(inspectors)
            assert inspectors.current.threshold == 99.0


def test_a_session_that_fails_when_another_has_the_next_part_ends_no_run(how):
    with opened(how) as first, Inspectors(first, how.reopen) as inspectors:
        recalibrate(how.path, 99.0)
        settle(inspectors)
        (how.path / "graph_fp32.onnx").unlink()
        assert inspectors.restart(first, EngineError("the GPU fell off the bus")) is None
        assert inspectors.restart(inspectors.current, EngineError("again")) is not None
