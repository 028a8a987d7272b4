"""A sink's place in `records.jsonl`: what it has delivered survives the end of the run.

The file of records is the buffer: while the other side is away it grows as it does anyway, and
nothing is written twice. The place is a small file beside it, replaced after each delivery. It
tells the first record as well, so that a place in one file is never taken for one in another that
somebody put there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edgeinspect.errors import OutputError
from edgeinspect.writing import output_errors, write_atomically

__all__ = ["Journal", "Line"]

_log = logging.getLogger(__name__)

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line, and the byte after it in the file; None for a damaged one, which is no record."""

    record: dict[str, Any] | None
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
        with output_errors(place):
            place.parent.mkdir(exist_ok=True)
        self._offset, self._first = self._read_place()
        self.n_appended = self._count_lines()
        self.n_delivered = 0

    def read(self, n_lines: int) -> list[Line]:
        """The next whole lines, at most `n_lines`; the place stays.

        Empty while the file is not there, or its disk does not answer.
        """
        lines: list[Line] = []
        try:
            with self._records.open("rb") as file:
                end = self._go_to_place(file)
                while len(lines) < n_lines and (text := file.readline()).endswith(b"\n"):
                    end += len(text)
                    lines.append(Line(record=_read_line(text), end=end))
        except OSError as error:
            _log.debug("%s cannot be read: %s", self._records, error)
        return lines

    def commit(self, lines: Sequence[Line]) -> None:
        """These were delivered: go on behind them, now and after a restart."""
        self._offset = lines[-1].end
        self.n_delivered += len(lines)
        place = {"bytes": self._offset, "first": self._first}
        try:
            with output_errors(self._place):
                self._place.parent.mkdir(exist_ok=True)
            write_atomically(self._place, json.dumps(place).encode(), is_synced=False)
        except OutputError as error:  # the records matter more; at worst they arrive twice
            if self._is_saved:
                _log.warning("%s; after a restart records are sent again", error)
            self._is_saved = False
        else:
            self._is_saved = True

    def _go_to_place(self, file: IO[bytes]) -> int:
        """Seek what comes next: the beginning, if the place was in another file."""
        first = _first_of(file)
        if first not in ("", self._first):
            self._offset, self._first = 0, first
        return file.seek(self._offset)

    def _read_place(self) -> tuple[int, str]:
        """Where the last run stopped, and in which file: 0 if that file is gone.

        Behind the end of the file, which a power cut has made shorter, all of it was delivered.
        """
        try:
            place = json.loads(self._place.read_text())
            offset = int(place["bytes"])
            with self._records.open("rb") as file:
                first, size = _first_of(file), file.seek(0, os.SEEK_END)
        except (OSError, ValueError, KeyError, TypeError):
            return 0, ""
        is_same = place.get("first", first) == first  # places of before do not tell
        return (min(offset, size), first) if is_same else (0, "")

    def _count_lines(self) -> int:
        if not self._records.exists():
            return 0
        n_lines = 0
        with self._records.open("rb") as file:
            file.seek(self._offset)
            while chunk := file.read(CHUNK):
                n_lines += chunk.count(b"\n")
        return n_lines


def _first_of(file: IO[bytes]) -> str:
    """By which a file of records is known: a digest of its first line; "" while it has none."""
    file.seek(0)
    line = file.readline()
    return hashlib.sha256(line).hexdigest()[:16] if line.endswith(b"\n") else ""


def _read_line(text: bytes) -> dict[str, Any] | None:
    try:
        plain = json.loads(text)
    except ValueError:
        return None
    return plain if isinstance(plain, dict) else None
