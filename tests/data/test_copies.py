"""One picture under several names."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edgeinspect.data.copies import distinct_pictures
from edgeinspect.digests import file_sha256


def written(folder: Path, **contents: bytes) -> list[Path]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def test_the_first_of_files_with_the_same_content_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = written(tmp_path, a=b"1", b=b"2", c=b"1", d=b"1")
    with caplog.at_level(logging.WARNING):
        assert list(distinct_pictures(paths)) == paths[:2]
    assert f"2 of the pictures are copies of others and left out ({paths[2]} is one)" in caplog.text


def test_different_files_give_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = written(tmp_path, a=b"1", b=b"2")
    assert distinct_pictures(paths) == {path: file_sha256(path) for path in paths}
    assert not caplog.text


def test_files_that_cannot_be_read_stay(tmp_path: Path) -> None:
    gone = [tmp_path / "gone", tmp_path / "lost"]
    assert distinct_pictures(gone) == dict.fromkeys(gone, "")


def test_a_file_that_is_named_twice_is_one_picture(tmp_path: Path) -> None:
    paths = written(tmp_path, a=b"1", b=b"2")
    assert list(distinct_pictures([*paths, paths[0]])) == paths
