"""Hashes of files and of sets of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgeinspect.digests import file_sha256, list_sha256


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"abc" * 500_000)
    assert file_sha256(tmp_path / "a.png") == hashlib.sha256(b"abc" * 500_000).hexdigest()


def test_the_hash_of_a_list_is_what_a_shell_computes_whatever_its_order() -> None:
    expected = hashlib.sha256(b"aa\nbb\n").hexdigest()
    assert list_sha256(["bb", "aa"]) == list_sha256(["aa", "bb"]) == expected
    assert list_sha256([]) == ""
