"""`notices.jsonl`: outages, drift and the like of a run, one JSON line each, beside its records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgeinspect.errors import OutputError, SinkError
from edgeinspect.stream.sinks.sink import Notice, RunInfo, Sink
from edgeinspect.writing import LineFile, output_errors

__all__ = ["NoticeFile"]


class NoticeFile(Sink):
    """Appends each notice as one line, so that a run that is killed leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: LineFile | None = None

    def open(self, about: RunInfo) -> None:
        with self._sink_errors():
            self._file = LineFile(self._path)

    def note(self, notice: Notice) -> None:
        assert self._file is not None, "a notice comes before the file was opened"
        with self._sink_errors():
            if not self._file.is_there:  # somebody tidied up: what follows is kept all the same
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file.close()
                self._file = LineFile(self._path)
            self._file.append(notice.to_line().encode())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    @contextlib.contextmanager
    def _sink_errors(self) -> Iterator[None]:
        """What cannot be written now, such as on a full disk, is tried again."""
        try:
            with output_errors(self._path):
                yield
        except OutputError as error:
            raise SinkError(error.what) from error
