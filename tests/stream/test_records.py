from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.config import Measure
from edgeinspect.errors import OutputError
from edgeinspect.runtime.inspection import Inspection, Reason, Verdict
from edgeinspect.runtime.regions import Region
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.records import (
    Record,
    RecordFolder,
    StageLatency,
    past_deadline,
    prepare_record_folder,
)
from tests.stream.made_frames import made_frame

KEYS = [
    *("seq", "stream", "source", "time", "verdict", "reason"),
    *("score", "local_score", "global_score", "threshold", "measure", "scale", "regions"),
    *("latency_ms", "runtime", "bundle", "map", "notices"),
]


def made_record(seq: int = 0, score: float = 2.5) -> Record:
    inspection = Inspection(
        verdict=Verdict.NG,
        threshold=1.5,
        picture_hw=(64, 64),
        score=score,
        local_score=score,
        global_score=0.5,
        scale=1,
        measure=Measure.WHOLE,
        regions=(Region(box=(1, 2, 3, 4), area_px=12, peak=7.5),),
    )
    latency = StageLatency(decode=1.0, prepare=0.5, infer=3.0, post=0.25, total=5.0)
    return Record(frame=made_frame(seq), inspection=inspection, latency=latency, runtime="made")


def test_a_record_has_the_promised_keys_in_order():
    plain = json.loads(made_record().to_line())
    assert list(plain) == KEYS
    assert plain["regions"] == [{"box": [1, 2, 3, 4], "area_px": 12, "peak": 7.5}]
    assert list(plain["latency_ms"]) == ["decode", "prepare", "infer", "post", "total"]
    assert plain["map"] is None
    assert plain["measure"] == "whole"


def test_a_record_tells_what_was_noticed_before_its_frame():
    outage = Notice.now(NoticeKind.RECOVERED, "camera is back", source="camera", seconds=4.5)
    frame = dataclasses.replace(made_frame(0), notices=(outage,))
    plain = json.loads(dataclasses.replace(made_record(), frame=frame).to_line())
    assert plain["notices"] == [outage.to_plain()]
    assert (plain["notices"][0]["kind"], plain["notices"][0]["seconds"]) == ("recovered", 4.5)
    assert json.loads(made_record().to_line())["notices"] == []


def test_the_time_of_a_record_names_its_zone():
    frame = dataclasses.replace(made_frame(0), time_s=0.25)
    record = dataclasses.replace(made_record(), frame=frame)
    assert record.to_plain()["time"] == "1970-01-01T00:00:00.250+00:00"


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_null_and_the_line_is_json(score):
    assert json.loads(made_record(score=score).to_line())["score"] is None


@pytest.mark.parametrize("total_ms", [99.0, 100.0, 100.1])
def test_a_verdict_after_the_deadline_is_not_inspected_and_keeps_its_figures(total_ms):
    before = made_record().inspection
    found = past_deadline(before, total_ms, 100.0)
    if total_ms <= 100:
        assert found is before
        return
    assert (found.verdict, found.reason) == (Verdict.NOT_INSPECTED, Reason.DEADLINE)
    assert (found.score, found.regions) == (before.score, before.regions)


def test_what_was_not_inspected_keeps_its_own_reason_past_the_deadline():
    found = dataclasses.replace(
        made_record().inspection, verdict=Verdict.NOT_INSPECTED, reason=Reason.NON_FINITE
    )
    assert past_deadline(found, 1e6, 1.0) is found


def test_files_of_two_streams_have_names_of_their_own():
    folder = RecordFolder(Path("out"))
    left, right = (dataclasses.replace(made_frame(3), stream=name) for name in ("left", "right"))
    assert folder.overlay(left) != folder.overlay(right)


@given(name=st.text(min_size=1, max_size=300))
def test_files_of_a_frame_stay_in_the_folder_whatever_its_name(name):
    frame = dataclasses.replace(made_frame(12), source=name)
    path = RecordFolder(Path("out")).overlay(frame)
    assert path.parent == Path("out/overlays")
    assert path.name.startswith("000012_")
    assert len(path.name.encode()) <= 255
    record = dataclasses.replace(made_record(), frame=frame)
    assert record.to_line().count("\n") == 1


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    folder = prepare_record_folder(tmp_path / "a" / "b", force=False, saves_pictures=True)
    assert folder.overlay(made_frame(0)).parent.is_dir()


def test_an_empty_folder_is_taken(tmp_path):
    assert prepare_record_folder(tmp_path, force=False, saves_pictures=False).path == tmp_path


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_is_not_ours_is_never_touched(tmp_path, force):
    (tmp_path / "beach.jpg").write_bytes(b"sand")
    with pytest.raises(OutputError, match="was not written by edgeinspect run"):
        prepare_record_folder(tmp_path, force=force, saves_pictures=True)
    assert [p.name for p in tmp_path.iterdir()] == ["beach.jpg"]


def test_an_earlier_run_is_replaced_only_when_forced(tmp_path):
    folder = prepare_record_folder(tmp_path, force=False, saves_pictures=True)
    folder.records.write_text("")
    folder.overlay(made_frame(0)).write_bytes(b"old")
    with pytest.raises(OutputError, match="--force"):
        prepare_record_folder(tmp_path, force=False, saves_pictures=True)
    prepare_record_folder(tmp_path, force=True, saves_pictures=True)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [folder.records]


def test_a_run_that_is_resumed_keeps_what_is_there(tmp_path):
    folder = prepare_record_folder(tmp_path, force=False, saves_pictures=True)
    folder.records.write_text("kept")
    prepare_record_folder(tmp_path, force=False, saves_pictures=True, resume=True)
    assert folder.records.read_text() == "kept"


def test_a_start_that_failed_before_its_first_record_does_not_lock_its_folder(tmp_path):
    prepare_record_folder(tmp_path, force=False, saves_pictures=True)
    prepare_record_folder(tmp_path, force=False, saves_pictures=True, resume=True)


def test_a_folder_that_was_half_emptied_is_still_ours(tmp_path, monkeypatch):
    folder = prepare_record_folder(tmp_path, force=False, saves_pictures=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare_record_folder(tmp_path, force=True, saves_pictures=True)
    assert folder.records.is_file()
    prepare_record_folder(tmp_path, force=True, saves_pictures=True)


def interrupted(*words: object, **keys: object) -> None:
    raise KeyboardInterrupt


def test_a_folder_whose_records_were_archived_is_still_ours(tmp_path):
    folder = prepare_record_folder(tmp_path, force=False, saves_pictures=True)
    (tmp_path / "notices.jsonl").write_text("")
    folder.records.rename(tmp_path.with_name("archive.jsonl"))
    prepare_record_folder(tmp_path, force=False, saves_pictures=True, resume=True)
    assert folder.records.read_text() == ""


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="out is a file"):
        prepare_record_folder(tmp_path / "out", force=True, saves_pictures=True)


def test_a_place_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        prepare_record_folder(tmp_path / "file" / "out", force=False, saves_pictures=True)


def test_a_decoding_time_in_a_type_of_numpy_is_a_number_in_the_line():
    record = made_record()
    latency = dataclasses.replace(record.latency, decode=np.float32(1.5))  # a third party's frame
    plain = json.loads(dataclasses.replace(record, latency=latency).to_line())
    assert plain["latency_ms"]["decode"] == 1.5
