from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from pathlib import Path

import pytest

from edgeinspect.errors import OutputError
from edgeinspect.writing import (
    LineFile,
    alone_in,
    draft_folder,
    output_errors,
    refuse_foreign,
    replace_folder,
    to_utf8,
    write_atomically,
)


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two", is_synced=False)
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_no_half_of_the_new(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"one")

    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OutputError, match="no space is left on the disk") as caught:
        write_atomically(path, b"two")
    assert caught.value.hint is not None
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "permission denied"), (errno.EROFS, "read-only"), (errno.EIO, "error")],
)
def test_trouble_of_the_system_names_the_place(tmp_path, number, words):
    with pytest.raises(OutputError, match=words) as caught, output_errors(tmp_path / "place"):
        raise OSError(number, os.strerror(number))
    assert "place" in caught.value.what


def test_a_full_disk_met_by_a_copy_names_the_place_and_not_the_source(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "source.onnx"))
    with (
        pytest.raises(OutputError, match=r"cannot write .*copy: no space is left"),
        output_errors(tmp_path / "copy", within=tmp_path / "draft"),
    ):
        raise full


def test_a_draft_takes_the_place_of_what_stood_there(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with draft_folder(tmp_path / "out") as draft:
        (draft / "new").touch()
        assert (tmp_path / "out" / "old").exists()
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["out", "out/new"]


def test_a_draft_that_fails_leaves_nothing(tmp_path):
    def fail() -> None:
        with draft_folder(tmp_path / "deep" / "out") as draft:
            (draft / "half").touch()
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert [p for p in tmp_path.rglob("*") if p.name != "deep"] == []


def test_what_stood_there_is_back_when_a_draft_cannot_be_renamed(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    draft = tmp_path / "out" / "draft"  # goes aside with the folder that it should replace
    draft.mkdir()
    with pytest.raises(OSError, match="No such file"):
        replace_folder(draft, tmp_path / "out")
    assert (tmp_path / "out" / "old").exists()


@pytest.mark.parametrize(
    ("files", "force", "message"),
    [
        ([], False, None),
        (["ours"], True, None),
        (["ours"], False, "out exists; add --force to replace it"),
        (["photo"], True, "out exists and is not ours; choose another place"),
    ],
)
def test_only_a_folder_of_ours_goes_and_only_by_force(tmp_path, files, force, message):
    (tmp_path / "out").mkdir()
    for name in files:
        (tmp_path / "out" / name).touch()
    expected = pytest.raises(OutputError, match=message) if message else contextlib.nullcontext()
    with expected:
        refuse_foreign(tmp_path / "out", marker="ours", foreign="is not ours", force=force)


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="out is a file"):
        refuse_foreign(tmp_path / "out", marker="ours", foreign="is not ours", force=True)


class NarrowDisk:
    """Takes some bytes, then has no space left; `shrinks`: what is torn can be cut off."""

    def __init__(self, file: object) -> None:
        self.file = file
        self.n_left = 10
        self.shrinks = True

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)

    def write(self, data: memoryview) -> int:
        n = self.file.write(data[: self.n_left])  # type: ignore[attr-defined]
        self.n_left -= n
        if not n:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(n)

    def truncate(self, size: int) -> None:
        if not self.shrinks:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.file.truncate(size)  # type: ignore[attr-defined]


@pytest.mark.parametrize("shrinks", [True, False])
def test_a_line_that_the_disk_cannot_hold_is_taken_back(tmp_path, monkeypatch, shrinks):
    path = tmp_path / "lines"
    lines = LineFile(path)
    lines.append(b"first\n")
    disk = NarrowDisk(lines._file)
    disk.shrinks = shrinks
    monkeypatch.setattr(lines, "_file", disk)
    with pytest.raises(OSError, match="No space left"):
        lines.append(b"longer than ten bytes\n")
    assert (path.read_bytes() == b"first\n") == shrinks
    disk.n_left, disk.shrinks = 1000, True
    lines.append(b"second\n")
    assert path.read_bytes() == b"first\nsecond\n"
    lines.close()


def test_a_file_that_cannot_be_looked_at_for_a_while_is_taken_to_be_there(tmp_path, monkeypatch):
    def stale(*words: object, **keys: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    path = tmp_path / "lines"
    with contextlib.closing(LineFile(path)) as lines, monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stale)
        assert lines.is_there


def test_a_folder_is_made_and_held_alone(tmp_path):
    folder = tmp_path / "a" / "b"
    with alone_in(folder, user="run"):
        assert folder.is_dir()
        with (
            pytest.raises(OutputError, match=f"another run writes into {folder}"),
            alone_in(folder, user="run"),
        ):
            pass
    with alone_in(folder, user="run"):
        pass


def test_a_name_that_is_no_utf8_is_read_back_from_json() -> None:
    name = os.fsdecode(b"part_\xff.png")
    written = to_utf8(json.dumps({"name": name}, ensure_ascii=False))
    assert json.loads(written.decode("utf-8")) == {"name": name}


def test_a_shared_drive_that_cannot_bring_folders_to_the_disk_holds_files(tmp_path, monkeypatch):
    sync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_atomically(tmp_path / "file", b"one")
    with draft_folder(tmp_path / "out") as draft:
        (draft / "new").touch()
    assert (tmp_path / "file").read_bytes() == b"one"
    assert (tmp_path / "out" / "new").exists()
