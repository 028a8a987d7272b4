from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from edgeinspect.errors import OutputError
from edgeinspect.stream import record_file
from edgeinspect.stream.choices import Fsync
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.record_file import RecordWriter
from edgeinspect.writing import LineFile
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


class Disk:
    """Takes lines unless it is full, keeps them unless it is sick; the clock is its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = self.is_sick = False
        self.now_s = 0.0
        append = LineFile.append

        def append_unless_full(file: LineFile, line: bytes, *, is_synced: bool = False) -> None:
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            append(file, line, is_synced=is_synced)

        def sync_unless_sick(file: LineFile) -> None:
            if self.is_sick:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(LineFile, "append", append_unless_full)
        monkeypatch.setattr(LineFile, "sync", sync_unless_sick)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture(params=[Fsync.NEVER, Fsync.BATCH])
def held_by(tmp_path, disk, request):
    notices: list[Notice] = []
    path = tmp_path / "records.jsonl"
    with RecordWriter(
        path, fsync=request.param, hold_s=60, note=notices.append, clock=lambda: disk.now_s
    ) as writer:
        yield writer, notices


def seqs(folder: Path) -> list[int]:
    return [record["seq"] for record in read_records(folder)]


def test_records_wait_for_a_full_disk_and_come_in_order(tmp_path, disk, held_by, caplog):
    writer, notices = held_by
    writer.write(made_record(0))
    disk.is_full = True
    for seq in range(1, 4):
        writer.write(made_record(seq))
    assert (seqs(tmp_path), writer.n_written) == ([0], 1)
    disk.is_full, disk.now_s = False, 10.0
    writer.retry()
    assert (seqs(tmp_path), writer.n_written) == ([0, 1, 2, 3], 4)
    assert [notice.kind for notice in notices] == [NoticeKind.DISK] * 2
    assert "no space is left on the disk; records wait in memory, 60 s at most" in notices[0].text
    assert notices[1].text == "records are written again after 10.0 s; 3 had waited"
    assert notices[1].seconds == 10


@pytest.mark.parametrize("held_by", [Fsync.BATCH], indirect=True)
def test_a_disk_that_keeps_nothing_is_said_once_and_tried_again(tmp_path, disk, held_by):
    writer, notices = held_by
    disk.is_sick = True
    for seq in range(4):
        disk.now_s = float(seq)
        writer.write(made_record(seq))
        writer.end_batch()
    assert seqs(tmp_path) == [0, 1, 2, 3]
    assert len(notices) == 1
    assert "records are not safe from a power cut, 60 s at most" in notices[0].text
    disk.is_sick, disk.now_s = False, 10.0
    writer.retry()
    assert notices[1].text == "records are written again after 10.0 s; 3 had waited"


@pytest.mark.parametrize("held_by", [Fsync.BATCH], indirect=True)
def test_a_disk_that_keeps_nothing_for_too_long_is_an_error(disk, held_by):
    writer, _ = held_by
    disk.is_sick = True
    writer.write(made_record(0))
    writer.end_batch()
    disk.now_s = 60.0
    with pytest.raises(OutputError, match="cannot write"):
        writer.retry()


def test_a_full_disk_is_tried_again_only_after_a_while(tmp_path, disk, held_by):
    writer, _ = held_by
    disk.is_full = True
    writer.write(made_record(0))
    disk.is_full, disk.now_s = False, 0.1
    writer.write(made_record(1))
    writer.retry()
    assert seqs(tmp_path) == []
    disk.now_s = 0.6
    writer.write(made_record(2))
    assert seqs(tmp_path) == [0, 1, 2]


def test_records_that_wait_too_long_are_an_error(disk, held_by):
    writer, _ = held_by
    disk.is_full = True
    writer.write(made_record(0))
    disk.now_s = 59.0
    writer.retry()
    disk.now_s = 60.0
    with pytest.raises(OutputError, match="no space is left"):
        writer.retry()


def test_more_records_than_memory_is_meant_for_are_an_error(disk, held_by, monkeypatch):
    monkeypatch.setattr(record_file, "MOST_HELD", 3)
    writer, _ = held_by
    disk.is_full = True
    for seq in range(3):
        writer.write(made_record(seq))
    with pytest.raises(OutputError, match="no space is left"):
        writer.write(made_record(3))


def test_the_end_tries_once_more_what_waits(tmp_path, disk, held_by):
    writer, _ = held_by
    disk.is_full = True
    writer.write(made_record(0))
    with pytest.raises(OutputError, match="no space is left"):
        writer.finish(within_s=0)
    disk.is_full = False
    writer.finish(within_s=0)
    assert seqs(tmp_path) == [0]


def test_no_record_goes_into_a_file_that_was_removed(tmp_path):
    path, notices = tmp_path / "out" / "records.jsonl", list[Notice]()
    path.parent.mkdir()
    with RecordWriter(path, note=notices.append) as writer:
        writer.write(made_record(0))
        shutil.rmtree(path.parent)
        writer.write(made_record(1))
    assert seqs(path.parent) == [1]
    assert "records go on in a new file" in notices[0].text


def test_a_file_in_place_of_a_removed_one_is_held_alone_too(tmp_path):
    path = tmp_path / "out" / "records.jsonl"
    path.parent.mkdir()
    with RecordWriter(path) as writer:
        writer.write(made_record(0))
        shutil.rmtree(path.parent)
        writer.write(made_record(1))
        with pytest.raises(OutputError, match="another run writes into"):
            RecordWriter(path)


def test_records_wait_while_a_file_stands_in_the_place_of_their_folder(tmp_path, disk):
    path = tmp_path / "out" / "records.jsonl"
    path.parent.mkdir()
    with RecordWriter(path, clock=lambda: disk.now_s) as writer:
        writer.write(made_record(0))
        path.parent.rename(tmp_path / "aside")
        path.parent.touch()
        writer.write(made_record(1))
        writer.retry()
        path.parent.unlink()
        disk.now_s = 1.0
        writer.retry()
    assert (seqs(tmp_path / "aside"), seqs(path.parent)) == ([0], [1])


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
    monkeypatch.setattr(os, "fsync", calls.append)
    write(tmp_path / "records.jsonl", range(3), fsync)
    assert len(calls) == n_syncs


def test_a_folder_that_goes_before_the_end_has_a_file_of_records_again(tmp_path):
    path = tmp_path / "out" / "records.jsonl"
    path.parent.mkdir()
    with RecordWriter(path) as writer:
        writer.write(made_record(0))
        path.parent.rename(tmp_path / "gone")
        writer.finish(within_s=0)
    assert read_records(tmp_path / "out") == []


def test_a_folder_that_cannot_be_made_again_at_the_end_is_an_error(tmp_path):
    path = tmp_path / "out" / "records.jsonl"
    path.parent.mkdir()
    with RecordWriter(path) as writer:
        writer.write(made_record(0))
        path.parent.rename(tmp_path / "gone")
        path.parent.touch()
        with pytest.raises(OutputError, match="a file of that name is in the way"):
            writer.finish(within_s=0)
