from __future__ import annotations

import dataclasses
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from edgeinspect.bundle import install_calibration, read_bundle
from edgeinspect.constants import Threshold
from edgeinspect.errors import ParityError
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.stream.inspectors import Inspectors
from edgeinspect.stream.judge import Judge
from edgeinspect.stream.notices import Notice
from edgeinspect.stream.opening import InspectorSettings, open_inspector_for_stream
from edgeinspect.stream.run import run_stream
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


def settle(inspectors: Inspectors) -> None:
    """Look, and wait for what is loaded."""
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


def test_another_way_to_cut_than_was_calibrated_is_warned_of(how, caplog):
    other = dataclasses.replace(how, tile=True)
    with opened(other) as inspector:
        assert inspector.bundle.config.preprocess.resize.value == "tile"
    assert "calibrated with resize=squash" in caplog.text
