from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.errors import OutputError
from edgeinspect.runtime.inspector import Inspection, Reason, Region, Verdict
from edgeinspect.stream.records import (
    Latency,
    Record,
    RecordFolder,
    RecordWriter,
    prepare_record_folder,
    unreadable,
)
from tests.stream.made_frames import made_frame, read_records

KEYS = [
    *("seq", "source", "time", "verdict", "reason", "score", "local_score", "global_score"),
    *("threshold", "scale", "regions", "latency_ms", "runtime", "map"),
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
        regions=(Region(box=(1, 2, 3, 4), area_px=12, peak=7.5),),
    )
    latency = Latency(decode=1.0, prepare=0.5, infer=3.0, post=0.25, total=5.0)
    return Record(frame=made_frame(seq), inspection=inspection, latency=latency, runtime="made")


def test_a_record_has_the_promised_keys_in_order():
    plain = json.loads(made_record().to_line())
    assert list(plain) == KEYS
    assert plain["regions"] == [{"box": [1, 2, 3, 4], "area_px": 12, "peak": 7.5}]
    assert list(plain["latency_ms"]) == ["decode", "prepare", "infer", "post", "total"]
    assert plain["map"] is None


def test_the_time_of_a_record_names_its_zone():
    frame = dataclasses.replace(made_frame(0), time_s=0.25)
    record = dataclasses.replace(made_record(), frame=frame)
    assert record.to_plain()["time"] == "1970-01-01T00:00:00.250+00:00"


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_null_and_the_line_is_json(score):
    assert json.loads(made_record(score=score).to_line())["score"] is None


def test_a_frame_that_could_not_be_read_is_not_inspected():
    inspection = unreadable(made_frame(3, "broken"), threshold=1.5)
    assert (inspection.verdict, inspection.reason) == (Verdict.NOT_INSPECTED, Reason.UNREADABLE)
    assert inspection.detail == "3_broken.png is cut off"


@given(name=st.text(min_size=1, max_size=300))
def test_files_of_a_frame_stay_in_the_folder_whatever_its_name(name):
    frame = dataclasses.replace(made_frame(12), source=name)
    path = RecordFolder(Path("out")).overlay(frame)
    assert path.parent == Path("out/overlays")
    assert path.name.startswith("000012_")
    assert len(path.name.encode()) <= 255
    record = dataclasses.replace(made_record(), frame=frame)
    assert record.to_line().count("\n") == 1


def test_the_file_is_valid_after_every_record(tmp_path):
    path = tmp_path / "records.jsonl"
    with RecordWriter(path) as writer:
        for seq in range(3):
            writer.write(made_record(seq))
            assert [record["seq"] for record in read_records(tmp_path)] == list(range(seq + 1))


def test_a_line_that_the_disk_cannot_hold_is_taken_back(tmp_path, monkeypatch):
    class FullDisk:
        """Takes ten bytes, then has no space left."""

        def __init__(self, file: object) -> None:
            self.file = file
            self.n_left = 10

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def write(self, data: memoryview) -> int:
            if not self.n_left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            n, self.n_left = self.n_left, 0
            return self.file.write(data[:n])  # type: ignore[attr-defined]

    with RecordWriter(tmp_path / "records.jsonl") as writer:
        writer.write(made_record(0))
        monkeypatch.setattr(writer, "_file", FullDisk(writer._file))
        with pytest.raises(OutputError, match="no space is left"):
            writer.write(made_record(1))
    assert [record["seq"] for record in read_records(tmp_path)] == [0]
    assert writer.n_written == 1


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
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="out is a file"):
        prepare_record_folder(tmp_path / "out", force=True, saves_pictures=True)


def test_a_place_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        prepare_record_folder(tmp_path / "file" / "out", force=False, saves_pictures=True)
