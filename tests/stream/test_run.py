from __future__ import annotations

import dataclasses
import json
import math
import threading
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import ResizeRule
from edgeinspect.data.images import list_pictures
from edgeinspect.errors import DataError, EngineError
from edgeinspect.report.overlays import MAP_STEPS
from edgeinspect.runtime.inspection import Reason
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.session import Session, open_session
from edgeinspect.stream import run as run_module
from edgeinspect.stream.choices import Save
from edgeinspect.stream.frames import Delivery, Recorded
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.outlets import open_outlets
from edgeinspect.stream.pipeline import PipelineSettings
from edgeinspect.stream.reading import Selection
from edgeinspect.stream.records import Record
from edgeinspect.stream.run import RunSettings, RunSummary, run_stream
from edgeinspect.stream.sources import PictureSource
from tests.bundles import make_bundle
from tests.stream.made_frames import KINDS, MadeSource, make_pictures, read_records
from tests.stream.made_records import HANGS_S, wait_until

VERDICT_OF = {"good": "OK", "bad": "NG", "wide": "OK"}  # of the others: NOT-INSPECTED


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle"), resize=ResizeRule.TILE))


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> Session:
    return open_session(bundle, threads=1)


def run(inspector: Inspector, kinds: list[str], out: Path, save: Save = Save.NG) -> RunSummary:
    return run_stream(inspector, MadeSource(kinds), out, RunSettings(save=save))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(kinds=st.lists(st.sampled_from(KINDS), max_size=8), batch=st.integers(1, 5))
def test_every_frame_gets_one_record_in_order_with_its_own_verdict(
    tmp_path_factory, bundle, session, kinds, batch
):
    out = tmp_path_factory.mktemp("run")
    summary = run(Inspector(bundle, session, batch=batch), kinds, out, Save.NONE)
    records = read_records(out)
    assert [record["seq"] for record in records] == list(range(len(kinds)))
    wanted = [VERDICT_OF.get(kind, "NOT-INSPECTED") for kind in kinds]
    assert [record["verdict"] for record in records] == wanted
    assert [record["source"] for record in records] == [
        f"line/{seq}_{kind}.png" for seq, kind in enumerate(kinds)
    ]
    assert summary.n_frames == summary.n_records == len(kinds)
    assert sum(summary.n_by_verdict.values()) == len(kinds)


def test_why_parts_were_not_inspected_is_counted(tmp_path, bundle, session):
    summary = run(Inspector(bundle, session), ["broken", "small", "broken", "good"], tmp_path)
    assert summary.n_by_reason == {Reason.UNREADABLE: 2, Reason.SIZE: 1}
    reasons = [record["reason"] for record in read_records(tmp_path)]
    assert reasons == ["unreadable", "size", "unreadable", None]


def test_only_good_parts_are_all_ok(tmp_path, bundle, session):
    inspector = Inspector(bundle, session)
    assert run(inspector, ["good", "wide"], tmp_path / "a").is_all_ok
    assert not run(inspector, ["good", "bad"], tmp_path / "b").is_all_ok
    assert not run(inspector, ["good", "small"], tmp_path / "c").is_all_ok


@pytest.mark.parametrize(
    ("save", "kinds"), [(Save.NG, ["bad"]), (Save.ALL, ["good", "bad", "small"]), (Save.NONE, [])]
)
def test_pictures_are_saved_for_the_parts_asked_for(tmp_path, bundle, session, save, kinds):
    run(Inspector(bundle, session), ["good", "bad", "small", "broken"], tmp_path, save)
    saved = sorted(path.stem.split("_")[-1] for path in tmp_path.glob("overlays/*.jpg"))
    assert saved == sorted(kinds)


def test_the_saved_map_is_the_one_the_record_names_in_z_units(tmp_path, bundle, session):
    inspector = Inspector(bundle, session)
    source = MadeSource(["good", "bad"])
    kept: list[Record] = []
    run_stream(inspector, source, tmp_path, on_record=kept.append)
    records = read_records(tmp_path)
    assert records[0]["map"] is None
    stored = cv2.imread(str(tmp_path / records[1]["map"]), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16
    anomaly_map = kept[1].inspection.anomaly_map
    assert anomaly_map is not None
    assert np.allclose(stored / MAP_STEPS, np.maximum(anomaly_map, 0), atol=1 / MAP_STEPS)


def test_the_total_time_holds_the_parts_of_the_way(tmp_path, bundle, session):
    run(Inspector(bundle, session, batch=4), ["good"] * 4, tmp_path)
    for record in read_records(tmp_path):
        latency = record["latency_ms"]
        assert latency["infer"] > 0
        assert latency["total"] >= latency["infer"] + latency["post"] - 0.01


def test_a_run_that_is_stopped_ends_with_records_for_all_it_took(tmp_path, bundle, session):
    stop = threading.Event()
    summary = run_stream(
        Inspector(bundle, session, batch=2),
        MadeSource(["good"] * 50),
        tmp_path,
        stop=stop,
        on_record=lambda record: stop.set() if record.frame.seq == 5 else None,
    )
    assert summary.is_interrupted
    assert summary.n_frames == summary.n_records == len(read_records(tmp_path))
    assert 6 <= summary.n_records < 50


class Losing(MadeSource):
    """Is lost for a while before its third frame."""

    def frames(self, stop: threading.Event | None = None) -> Delivery:
        for frame in super().frames(stop):
            if frame.seq == 2:
                yield Notice.now(NoticeKind.OUTAGE, "lost")
                yield Notice.now(NoticeKind.RECOVERED, "back", seconds=4.0)
            yield frame


def test_an_outage_stands_in_the_record_of_the_first_part_after_it(tmp_path, bundle, session):
    sources = {"left": Losing(["good"] * 4), "right": MadeSource(["good"] * 4)}
    run_stream(Inspector(bundle, session, batch=3), sources, tmp_path)
    found = {
        (record["stream"], record["seq"]): [(n["kind"], n["seconds"]) for n in record["notices"]]
        for record in read_records(tmp_path)
        if record["notices"]
    }
    assert found == {("left", 2): [("outage", None), ("recovered", 4.0)]}


def test_only_notices_of_parts_go_into_records(tmp_path, bundle, session):
    class Told(MadeSource):
        def frames(self, stop: threading.Event | None = None) -> Delivery:
            for kind in NoticeKind:
                yield Notice.now(kind, "something")
            yield from super().frames(stop)

    run_stream(Inspector(bundle, session), Told(["good"]), tmp_path)
    (record,) = read_records(tmp_path)
    kinds = {notice["kind"] for notice in record["notices"]}
    assert kinds == {"outage", "recovered", "frozen", "drift", "unwatched", "bundle", "engine"}


def test_a_run_with_notices_in_its_records_is_resumed(tmp_path, bundle, session):
    inspector, source = Inspector(bundle, session), Losing(["good"] * 3)
    run_stream(inspector, source, tmp_path)
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write('{"seq": 3, "notices": [{"ki')
    longer = Losing(["good"] * 5)
    run_stream(inspector, longer, tmp_path, RunSettings(resume=True))
    assert [record["seq"] for record in read_records(tmp_path)] == list(range(5))


@given(n_first=st.integers(0, 12), every=st.integers(1, 5), n_later=st.integers(0, 5))
def test_what_is_left_of_each_nth_file_is_what_was_not_reached(n_first, every, n_later):
    names = [f"{place}.png" for place in range(n_first + n_later)]
    before = names[:n_first:every]
    recorded = Recorded(next_seq=len(before), sources=Counter(before), every=every)
    assert [*before, *list(recorded.without(names))[::every]] == names[::every]


def test_a_run_of_each_second_picture_is_resumed_with_the_next_of_these(tmp_path, bundle, session):
    paths = list_pictures(make_pictures(tmp_path / "in", ["good"] * 6))
    each_second = RunSettings(resume=True, selection=Selection(every=2))
    for n_there in (3, 6):
        source = PictureSource(paths[:n_there], white_level_16bit=65535)
        run_stream(Inspector(bundle, session), source, tmp_path / "out", each_second)
    sources = [record["source"] for record in read_records(tmp_path / "out")]
    assert sources == [str(path) for path in paths[::2]]


def test_after_a_session_failed_for_good_every_frame_has_its_record(tmp_path, bundle, session):
    class Failing:
        name = "failing"
        n_calls = 0

        def infer(
            self, images: np.ndarray, tile: np.ndarray, map_above: float | None = None
        ) -> object:
            self.n_calls += 1
            if self.n_calls > 2:
                raise EngineError("the GPU fell off the bus")
            return session.infer(images, tile)

        def close(self) -> None:
            pass

    before = set(threading.enumerate())
    with pytest.raises(EngineError, match="fell off"):
        run(Inspector(bundle, Failing()), ["good"] * 5, tmp_path)  # type: ignore[arg-type]
    records = read_records(tmp_path)
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert [record["reason"] for record in records[:2]] == [None, None]
    assert {record["reason"] for record in records[2:]} == {"engine"}
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_the_summary_as_json_has_stable_keys(tmp_path, bundle, session):
    plain = run(Inspector(bundle, session), ["good", "bad", "broken"], tmp_path).to_plain()
    assert plain["verdicts"] == {"OK": 1, "NG": 1, "NOT-INSPECTED": 1}
    assert plain["reasons"] == {"unreadable": 1}
    assert (plain["records_in"], plain["records_out"]) == (3, 3)
    assert set(plain["latency_ms"]) == {"p50", "p90", "p99"}


def test_figures_of_a_third_partys_source_that_are_not_finite_do_not_end_the_run(
    tmp_path, bundle, session
):
    class Odd(MadeSource):
        def frames(self, stop: threading.Event | None = None) -> Delivery:
            nan = float("nan")
            yield Notice(
                kind=NoticeKind.OUTAGE, text="gone", time_s=nan, seconds=nan, values={"level": nan}
            )
            for frame in super().frames(stop):
                yield dataclasses.replace(frame, time_s=nan, started_s=nan, decode_ms=nan)

    run_stream(Inspector(bundle, session), Odd(["good", "broken"]), tmp_path)
    first, second = read_records(tmp_path)
    (notice,) = first["notices"]
    assert (notice["seconds"], notice["values"]) == (None, {"level": None})
    assert (first["verdict"], second["reason"]) == ("OK", "unreadable")
    assert math.isfinite(first["latency_ms"]["total"])


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 1), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((0, 0, 3), np.uint8),
        [[0, 0], [0, 0]],
    ],
)
def test_what_is_no_picture_of_a_third_partys_source_does_not_end_the_run(
    tmp_path, bundle, session, picture
):
    class Odd(MadeSource):
        def frames(self, stop: threading.Event | None = None) -> Delivery:
            for frame in super().frames(stop):
                yield frame if frame.seq else dataclasses.replace(frame, picture=picture)

    run_stream(Inspector(bundle, session), Odd(["good"] * 2), tmp_path, RunSettings(save=Save.ALL))
    assert [record["reason"] for record in read_records(tmp_path)] == ["size", None]


def test_grey_pictures_are_judged_and_saved_as_others(tmp_path, bundle, session):
    class Grey(MadeSource):
        def frames(self, stop: threading.Event | None = None) -> Delivery:
            for frame in super().frames(stop):
                assert frame.picture is not None
                yield dataclasses.replace(frame, picture=frame.picture[..., 0])

    source, all_of_them = Grey(["good", "bad", "wide"]), RunSettings(save=Save.ALL)
    run_stream(Inspector(bundle, session), source, tmp_path, all_of_them)
    assert [record["verdict"] for record in read_records(tmp_path)] == ["OK", "NG", "OK"]
    assert len(list(tmp_path.glob("overlays/*.jpg"))) == 3


def test_latencies_are_of_parts_that_were_judged(tmp_path, bundle, session):
    inspector = Inspector(bundle, session)
    assert run(inspector, ["broken", "small"], tmp_path / "a").latency_ms == {}
    late = PipelineSettings(deadline_ms=0.0)
    source = MadeSource(["good", "broken"])
    summary = run_stream(inspector, source, tmp_path / "b", RunSettings(pipeline=late))
    judged, _ = read_records(tmp_path / "b")
    assert judged["reason"] == "deadline"
    assert set(summary.latency_ms.values()) == {judged["latency_ms"]["total"]}


def test_a_third_partys_source_that_fails_ends_the_run_in_one_line(tmp_path, bundle, session):
    class Failing(MadeSource):
        def frames(self, stop: threading.Event | None = None) -> Delivery:
            yield from super().frames(stop)
            raise ValueError("no such register")

    sources = {"left": Failing(["good"]), "right": MadeSource(["good"])}
    with pytest.raises(DataError, match="the source left failed: ValueError: no such register"):
        run_stream(Inspector(bundle, session), sources, tmp_path)


def test_records_and_notices_go_on_in_new_files_when_somebody_removes_the_folder(
    tmp_path, bundle, session, caplog
):
    out = tmp_path / "out"
    told, removed = out / "notices.jsonl", threading.Event()

    class Waiting(MadeSource):
        def frames(self, stop: threading.Event | None = None) -> Delivery:
            for frame in super().frames(stop):
                if frame.seq == 2:
                    assert removed.wait(HANGS_S)
                yield frame

    def on_record(record: Record) -> None:
        if record.frame.seq == 1:
            wait_until(lambda: told.exists() and told.read_text())  # that it started
            out.rename(tmp_path / "gone")
            removed.set()

    source = Waiting(["good", "good", "bad"])
    run_stream(
        Inspector(bundle, session),
        source,
        out,
        connect=lambda run: open_outlets(
            run.folder.path, run.about(), run.calibration, note=run.note
        ),
        on_record=on_record,
    )
    assert [record["seq"] for record in read_records(out)] == [2]
    assert len(list((out / "overlays").iterdir())) == 1
    kinds = [json.loads(line)["kind"] for line in told.read_text().splitlines()]
    assert kinds == ["disk", "ended"]
    assert "was moved or removed; records go on in a new file" in caplog.text


def test_all_sources_are_told_to_stop_before_one_of_them_is_waited_for(
    tmp_path, bundle, session, monkeypatch
):
    class Hanging(MadeSource):
        """Comes back once the other was told to stop."""

        other: Hanging
        is_told: threading.Event

        def frames(self, stop: threading.Event | None = None) -> Delivery:
            assert stop is not None
            self.is_told = stop
            have_begun.wait(HANGS_S)
            yield from super().frames(stop)
            assert self.other.is_told.wait(HANGS_S / 10)

    monkeypatch.setattr(run_module, "LEAVE_S", HANGS_S)
    have_begun, stop = threading.Barrier(2), threading.Event()
    left, right = Hanging(["good"]), Hanging(["good"])
    left.other, right.other = right, left
    run_stream(
        Inspector(bundle, session),
        {"left": left, "right": right},
        tmp_path,
        stop=stop,
        on_record=lambda record: stop.set(),
    )
    assert left.is_told.is_set()
