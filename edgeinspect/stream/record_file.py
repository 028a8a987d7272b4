"""The file of records: appended, brought to the disk as asked, repaired after a kill.

While the disk is full records wait in memory, for a while: the line goes on, and none is lost if
there is room again in time.

A kill leaves a whole file or one whose last line is torn; a power cut may leave a tail of NULs as
well. Either is cut off at the next start, and the run goes on with the first part without record.
"""

from __future__ import annotations

import enum
import json
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeinspect.errors import OutputError
from edgeinspect.stream.frames import Recorded
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.records import Record
from edgeinspect.writing import LineFile, output_errors

__all__ = ["HOLD_S", "Fsync", "RecordWriter", "last_bundle", "read_back"]

_log = logging.getLogger(__name__)


HOLD_S = 60.0  # records wait so long for a disk that takes none
MOST_HELD = 10_000  # and so many of them: some 10 MB
RETRY_S = 0.5
TAIL = 1 << 20  # bytes, more than a record has


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A record on its way to the file."""

    stream: str | None
    seq: int
    text: bytes


class Fsync(str, enum.Enum):
    """When records are brought to the disk, so that a power cut does not take them.

    `never` leaves it to the system: a kill of the process alone loses nothing even so.
    """

    NEVER = "never"
    BATCH = "batch"
    RECORD = "record"


class RecordWriter:
    """Appends records to a file; use it inside a `with`. Any thread may call it.

    While the file takes none (the disk is full) records wait in memory, in their order, and are
    tried again: at most `MOST_HELD`, and at most `hold_s` long.

    Attributes:
        n_written: lines in the file, by this writer.
        next_seq: of each stream, the number after that of its last line in the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        fsync: Fsync = Fsync.NEVER,
        hold_s: float = HOLD_S,
        note: Callable[[Notice], None] = lambda notice: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`note` is told when records begin to wait, and when they are written again.

        Raises: OutputError.
        """
        self.path = path
        self.n_written = 0
        self.next_seq: dict[str | None, int] = {}
        self._fsync = fsync
        self._hold_s = hold_s
        self._note = note
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[_Line] = deque()
        self._is_unsynced = False  # records were written that are to be brought to the disk
        self._since_s: float | None = None  # when the disk began to take nothing
        self._n_waited = 0  # records that were written since
        self._next_s = 0.0  # when they are tried again
        with output_errors(path):
            self._file = LineFile(path)

    def write(self, record: Record) -> None:
        """Append one line, now or as soon as that can be.

        Raises: OutputError if records have waited too long, or are too many.
        """
        frame = record.frame
        line = _Line(stream=frame.stream, seq=frame.seq, text=record.to_line().encode())
        with self._lock:
            self._waiting.append(line)
            if self._is_time() or len(self._waiting) > MOST_HELD:
                self._write_waiting()

    def retry(self) -> None:
        """Try again what waits, if it is time. Raises: as `write`."""
        with self._lock:
            if not self._file.is_there:
                self._open_again()
            if self._is_time():
                self._write_waiting()
                self._sync()

    def _open_again(self) -> None:
        """Somebody moved or removed the file, or its folder: begin another in its place."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = LineFile(self.path)
        except OSError as error:
            _log.debug("%s cannot be opened again: %s", self.path, error)
            return
        self._file.close()
        self._file = file
        text = f"{self.path} was moved or removed; records go on in a new file of that name"
        _log.error("%s", text)
        self._note(Notice.now(NoticeKind.DISK, text))

    def finish(self, *, within_s: float) -> None:
        """Write what still waits. Raises: OutputError if that cannot be done in time."""
        with self._lock:
            self._hold_s = within_s
            self._since_s = None if self._since_s is None else self._clock()
            if not self._file.is_there:
                self._open_again()
            while self._waiting:
                self._write_waiting()
                if self._waiting:
                    time.sleep(RETRY_S)
            self._sync()

    def end_batch(self) -> None:
        """Called after the records of a batch. Raises: as `write`."""
        if self._fsync is not Fsync.BATCH:
            return
        with self._lock:
            self._is_unsynced = True
            if self._is_time():
                self._sync()

    def _is_time(self) -> bool:
        return self._since_s is None or self._clock() >= self._next_s

    def _sync(self) -> None:
        if not self._is_unsynced or self._waiting:
            return
        try:
            with output_errors(self.path):
                self._file.sync()
        except OutputError as error:
            self._hold(error)
        else:
            self._is_unsynced = False
            self._say_when_over()

    def _write_waiting(self) -> None:
        n_waited = len(self._waiting)
        if not n_waited:
            return
        try:
            with output_errors(self.path):
                while self._waiting:
                    line = self._waiting[0]
                    self._file.append(line.text, is_synced=self._fsync is Fsync.RECORD)
                    self._waiting.popleft()
                    self.n_written += 1
                    self.next_seq[line.stream] = line.seq + 1
        except OutputError as error:
            self._hold(error)
        else:
            self._n_waited += n_waited
            self._say_when_over()

    def _hold(self, error: OutputError) -> None:
        """Keep what waits for the next try. Raises: the error, when it has waited too long."""
        now_s = self._clock()
        if self._since_s is None:
            self._since_s, self._n_waited = now_s, 0
            where = "wait in memory" if self._waiting else "are not safe from a power cut"
            text = f"{error.what}; records {where}, {self._hold_s:g} s at most"
            _log.warning("%s", text)
            self._note(Notice.now(NoticeKind.DISK, text))
        self._next_s = now_s + RETRY_S
        if now_s - self._since_s >= self._hold_s or len(self._waiting) > MOST_HELD:
            raise error

    def _say_when_over(self) -> None:
        """That all is as it should be again, if it was not."""
        if self._since_s is None or self._waiting or self._is_unsynced:
            return
        lasted_s, self._since_s = self._clock() - self._since_s, None
        text = f"records are written again after {lasted_s:.1f} s; {self._n_waited} had waited"
        _log.warning("%s", text)
        self._note(Notice.now(NoticeKind.DISK, text, seconds=round(lasted_s, 3)))

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


def last_bundle(path: Path) -> str | None:
    """What judged the last part of a file of whole records; None if that is not known."""
    if not path.exists():
        return None
    with output_errors(path), path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        lines = file.read().splitlines()
    try:
        return str(json.loads(lines[-1])["bundle"]) or None
    except (IndexError, ValueError, KeyError, TypeError):
        return None


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
