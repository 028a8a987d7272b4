"""A sink's place in `records.jsonl`: what it has delivered survives the end of the run.

The file of records is the buffer: while the other side is away it grows as it does anyway, and
nothing is written twice. The place is a small file beside it, replaced after each delivery.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeinspect.errors import OutputError
from edgeinspect.writing import output_errors, write_atomically

__all__ = ["Journal", "Line"]

_log = logging.getLogger(__name__)

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record, and the byte after it in the file."""

    record: dict[str, Any]
    end: int


class Journal:
    """Reads the records behind a place that is kept in a file.

    Attributes:
        n_appended: records behind the place where it began; whoever appends one counts it.
        n_delivered: how many of these it has left behind.
    """

    def __init__(self, records: Path, place: Path) -> None:
        """Raises: OutputError if the place cannot be kept."""
        self._records = records
        self._place = place
        self._is_saved = True
        self._inode = 0  # of the file that was read last
        with output_errors(place):
            place.parent.mkdir(exist_ok=True)
        self._offset = self._read_place()
        self.n_appended = self._count_lines()
        self.n_delivered = 0

    def read(self, n_lines: int) -> list[Line]:
        """The next whole lines, at most `n_lines`, none while the file cannot be read."""
        try:
            return self._read(n_lines)
        except OSError as error:  # somebody moves it, or its drive is away for a moment
            _log.debug("%s cannot be read: %s", self._records, error)
            return []

    def _read(self, n_lines: int) -> list[Line]:
        size, _ = self._state()
        if size < self._offset:  # another file has taken its place
            self._begin_anew()
        lines: list[Line] = []
        if size <= self._offset:
            return lines
        end = self._offset
        with self._records.open("rb") as file:
            self._inode = os.fstat(file.fileno()).st_ino
            file.seek(self._offset)
            while len(lines) < n_lines and (text := file.readline()).endswith(b"\n"):
                end += len(text)
                lines.append(Line(record=json.loads(text), end=end))
        return lines

    def commit(self, lines: Sequence[Line]) -> None:
        """These were delivered: go on behind them, now and after a restart."""
        self._offset = lines[-1].end
        self.n_delivered += len(lines)
        place = {"bytes": self._offset, "inode": self._inode}
        try:
            write_atomically(self._place, json.dumps(place).encode(), is_synced=False)
        except OutputError as error:  # the records matter more; at worst they arrive twice
            if self._is_saved:
                _log.warning("%s; after a restart records are sent again", error)
            self._is_saved = False
        else:
            self._is_saved = True

    def _read_place(self) -> int:
        """Where the last run stopped.

        A place behind the end is of another file, or of this one, of which a power cut took what
        was delivered.
        """
        try:
            place = json.loads(self._place.read_text())
            offset = int(place["bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        size, inode = self._state()
        if offset <= size or (size and place.get("inode") == inode):
            return min(offset, size)
        self._begin_anew()
        return 0

    def _begin_anew(self) -> None:
        """Forget the place: the file may outgrow it before anything is delivered."""
        self._offset = 0
        with contextlib.suppress(OSError):
            self._place.unlink(missing_ok=True)

    def _state(self) -> tuple[int, int]:
        """Size and inode of the file of records; zeros while there is none."""
        try:
            found = self._records.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_size, found.st_ino

    def _count_lines(self) -> int:
        if self._state()[0] <= self._offset:
            return 0
        n_lines = 0
        with self._records.open("rb") as file:
            file.seek(self._offset)
            while chunk := file.read(CHUNK):
                n_lines += chunk.count(b"\n")
        return n_lines
