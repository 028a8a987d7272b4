"""`notices.jsonl`: outages, drift and the like of a run, one JSON line each, beside its records."""

from __future__ import annotations

from pathlib import Path

from edgeinspect.stream.sinks.sink import Notice, RunInfo, Sink
from edgeinspect.writing import output_errors

__all__ = ["NoticeFile"]


class NoticeFile(Sink):
    """Appends each notice as one write, so that a run that is killed leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, about: RunInfo) -> None:
        with output_errors(self._path):
            self._path.touch()

    def note(self, notice: Notice) -> None:
        with output_errors(self._path), self._path.open("ab", buffering=0) as file:
            file.write(notice.to_line().encode())
