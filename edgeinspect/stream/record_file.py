"""The file of records: appended, and brought to the disk as asked.

While the disk is full records wait in memory, for a while: the line goes on, and none is lost if
there is room again in time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeinspect.errors import OutputError
from edgeinspect.stream.choices import Fsync
from edgeinspect.stream.notices import Notice, NoticeKind, tell
from edgeinspect.stream.records import Record
from edgeinspect.writing import LineFile, output_errors

__all__ = ["HOLD_S", "RecordWriter"]

HOLD_S = 60.0  # records wait so long for a disk that takes none
MOST_HELD = 10_000  # and so many of them: some 10 MB
RETRY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A record on its way to the file."""

    stream: str | None
    seq: int
    text: bytes


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
            self._file = self._open()

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
            if self._is_time():
                self._write_waiting()
                self._sync()

    def _open(self) -> LineFile:
        """Held alone: a folder that is made again is not the one that the run holds."""
        file = LineFile(self.path)
        try:
            file.lock(user="run")
        except OutputError:
            file.close()
            raise
        return file

    def _open_again(self) -> None:
        """Somebody moved or removed the file, or its folder: begin another in its place."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._open()
        self._file.close()
        self._file = file
        text = f"{self.path} was moved or removed; records go on in a new file of that name"
        tell(self._note, Notice.now(NoticeKind.DISK, text), level=logging.ERROR)

    def finish(self, *, within_s: float) -> None:
        """Write what still waits. Raises: OutputError if that cannot be done in time."""
        with self._lock:
            self._hold_s = within_s
            self._since_s = None if self._since_s is None else self._clock()
            while self._waiting:
                self._write_waiting()
                if self._waiting:
                    time.sleep(RETRY_S)
            with output_errors(self.path):
                if not self._file.is_there:
                    self._open_again()
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
                if not self._file.is_there:
                    self._open_again()
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
            tell(self._note, Notice.now(NoticeKind.DISK, text))
        self._next_s = now_s + RETRY_S
        if now_s - self._since_s >= self._hold_s or len(self._waiting) > MOST_HELD:
            raise error

    def _say_when_over(self) -> None:
        """That all is as it should be again, if it was not."""
        if self._since_s is None or self._waiting or self._is_unsynced:
            return
        lasted_s, self._since_s = self._clock() - self._since_s, None
        text = f"records are written again after {lasted_s:.1f} s; {self._n_waited} had waited"
        tell(self._note, Notice.now(NoticeKind.DISK, text, seconds=round(lasted_s, 3)))

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
