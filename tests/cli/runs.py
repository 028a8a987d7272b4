"""Starting `edgeinspect run`, in this process or in one of its own, and reading what it left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgeinspect.cli.main import main

__all__ = ["one_error_line", "run", "start", "whole_records", "words_for"]


def words_for(bundle: Path, source: Path | str, out: Path, *options: str) -> list[str]:
    """The command line of a run."""
    return ["run", str(bundle), str(source), "--out", str(out), "--threads", "1", *options]


def run(bundle: Path, source: Path | str, out: Path, *options: str) -> int:
    """Exit code of a run in this process."""
    with pytest.raises(SystemExit) as left:
        main(words_for(bundle, source, out, *options))
    return int(left.value.code or 0)


def start(words: Sequence[str], **how: Any) -> subprocess.Popen[str]:
    """A command line in a process of its own."""
    code = f"from edgeinspect.cli.main import main; main({list(words)!r})"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


def whole_records(out: Path) -> list[bytes]:
    """Lines of records so far, without one that is being written."""
    lines = (out / "records.jsonl").read_bytes().splitlines(keepends=True)
    return [line for line in lines if line.endswith(b"\n")]


def one_error_line(printed: str) -> str:
    (line,) = printed.splitlines()
    assert line.startswith("error: ")
    return line
