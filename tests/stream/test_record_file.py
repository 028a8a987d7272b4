from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.errors import OutputError
from edgeinspect.stream import record_file
from edgeinspect.stream.record_file import Fsync, RecordWriter, read_back
from tests.stream.made_frames import read_records
from tests.stream.made_records import made_record


def write(path: Path, seqs: range, fsync: Fsync = Fsync.NEVER) -> None:
    with RecordWriter(path, fsync=fsync) as writer:
        for seq in seqs:
            writer.write(made_record(seq))
        writer.end_batch()


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


def test_a_second_writer_appends(tmp_path):
    path = tmp_path / "records.jsonl"
    write(path, range(2))
    write(path, range(2, 4))
    assert [record["seq"] for record in read_records(tmp_path)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("fsync", "n_syncs"), [(Fsync.NEVER, 0), (Fsync.BATCH, 1), (Fsync.RECORD, 3)]
)
def test_records_are_brought_to_the_disk_as_often_as_asked(tmp_path, monkeypatch, fsync, n_syncs):
    calls: list[int] = []
    monkeypatch.setattr(record_file.os, "fsync", calls.append)
    write(tmp_path / "records.jsonl", range(3), fsync)
    assert len(calls) == n_syncs


def test_where_nothing_was_written_nothing_is_recorded(tmp_path):
    assert read_back(tmp_path / "records.jsonl") == {}


@given(data=st.data(), nuls=st.integers(0, 20))
def test_a_file_cut_at_any_byte_is_repaired_to_its_whole_records(tmp_path_factory, data, nuls):
    path = tmp_path_factory.mktemp("run") / "records.jsonl"
    write(path, range(3))
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut] + b"\0" * nuls)
    n_whole = whole[:cut].count(b"\n")
    recorded = read_back(path)
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:n_whole])
    assert (recorded[None].next_seq if n_whole else len(recorded)) == n_whole


def test_a_damaged_line_between_whole_ones_costs_no_later_record(tmp_path):
    path = tmp_path / "records.jsonl"
    lines = [made_record(seq).to_line() for seq in range(3)]
    path.write_text(lines[0] + "{damaged\n" + lines[2])
    assert read_back(path)[None].next_seq == 3
    assert path.read_text().endswith(lines[2])


def test_the_names_of_frames_are_told_for_the_streams_asked_for(tmp_path):
    path = tmp_path / "records.jsonl"
    write(path, range(2))
    assert not read_back(path)[None].sources
    recorded = read_back(path, with_sources=[None])[None]
    names = [json.loads(line)["source"] for line in path.read_text().splitlines()]
    assert list(recorded.without([*names, names[0], "new.png"])) == [names[0], "new.png"]
