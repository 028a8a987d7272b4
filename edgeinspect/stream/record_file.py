"""The file of records: appended, brought to the disk as asked, repaired after a kill.

A kill leaves a whole file or one whose last line is torn; a power cut may leave a tail of NULs as
well. Either is cut off at the next start, and the run goes on with the first part without record.
"""

from __future__ import annotations

import enum
import json
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from edgeinspect.stream.frames import Recorded
from edgeinspect.stream.records import Record
from edgeinspect.writing import output_errors

__all__ = ["Fsync", "RecordWriter", "read_back"]

_log = logging.getLogger(__name__)


class Fsync(str, enum.Enum):
    """When records are brought to the disk, so that a power cut does not take them.

    `never` leaves it to the system: a kill of the process alone loses nothing even so.
    """

    NEVER = "never"
    BATCH = "batch"
    RECORD = "record"


class RecordWriter:
    """Appends records to a file; use it inside a `with`.

    Attributes:
        n_written: by this writer.
    """

    def __init__(self, path: Path, *, fsync: Fsync = Fsync.NEVER) -> None:
        """Raises: OutputError."""
        self.path = path
        self.n_written = 0
        self._fsync = fsync
        with output_errors(path):
            self._file = path.open("ab", buffering=0)

    def write(self, record: Record) -> None:
        """Write one line, whole or not at all. Raises: OutputError."""
        line = memoryview(record.to_line().encode())
        with output_errors(self.path):
            start = self._file.seek(0, os.SEEK_END)
            try:
                while line:
                    line = line[self._file.write(line) :]
                if self._fsync is Fsync.RECORD:
                    os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(start)
                raise
        self.n_written += 1

    def end_batch(self) -> None:
        """Called after the records of a batch. Raises: OutputError."""
        if self._fsync is Fsync.BATCH:
            with output_errors(self.path):
                os.fsync(self._file.fileno())

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def read_back(
    path: Path, *, with_sources: Collection[str | None] = ()
) -> dict[str | None, Recorded]:
    """What a run has records of, by stream; a torn end of the file is cut off first.

    Args:
        with_sources: streams of which the names of frames are wanted, besides the number.
    Raises: OutputError.
    """
    if not path.exists():
        return {}
    next_seq: dict[str | None, int] = {}
    sources: dict[str | None, Counter[str]] = {}
    for stream, seq, source in _sound_records(path):
        next_seq[stream] = max(next_seq.get(stream, 0), seq + 1)
        if stream in with_sources:
            sources.setdefault(stream, Counter())[source] += 1
    return {
        stream: Recorded(next_seq=n, sources=sources.get(stream, Counter()))
        for stream, n in next_seq.items()
    }


def _sound_records(path: Path) -> Iterator[tuple[str | None, int, str]]:
    """(stream, seq, source) of each whole record; what follows the last one is cut off."""
    end = sound_end = 0
    with output_errors(path), path.open("r+b") as file:
        for line in file:
            end += len(line)
            found = _read_line(line)
            if found is not None:
                sound_end = end
                yield found
        if end > sound_end:
            _log.warning("%s: %d bytes of a torn record are cut off", path, end - sound_end)
            file.truncate(sound_end)
            os.fsync(file.fileno())


def _read_line(line: bytes) -> tuple[str | None, int, str] | None:
    """None unless the line is a whole record."""
    if not line.endswith(b"\n"):
        return None
    try:
        plain = json.loads(line)
        return plain.get("stream"), int(plain["seq"]), str(plain["source"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
