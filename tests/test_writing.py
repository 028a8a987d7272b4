from __future__ import annotations

import errno
import os

import pytest

from edgeinspect.errors import OutputError
from edgeinspect.writing import output_errors, write_atomically


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
