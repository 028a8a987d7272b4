"""What an earlier start of a run left in its file of records: repaired, and read back.

A kill leaves a whole file or one whose last line is torn; a power cut may leave a tail of NULs as
well. Either is cut off, and the run goes on with the first part without record.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgeinspect.stream.frames import Recorded
from edgeinspect.writing import output_errors

__all__ = ["last_bundle", "read_back", "read_last"]

_log = logging.getLogger(__name__)

BLOCK = 1 << 20  # bytes that are read at once, from the end


@dataclass(frozen=True, slots=True)
class _Whole:
    """What is needed of a whole record."""

    stream: str | None
    seq: int
    source: str
    bundle: str | None


def read_back(
    path: Path, *, with_sources: Collection[str | None] = ()
) -> dict[str | None, Recorded]:
    """What a run has records of, by stream; a torn end of the file is cut off.

    Args:
        with_sources: streams of which the names of frames are wanted, besides the number.
    Raises: OutputError.
    """
    if not path.exists():
        return {}
    next_seq: dict[str | None, int] = {}
    sources: dict[str | None, Counter[str]] = {}
    with output_errors(path), path.open("r+b") as file:
        end = whole_end = 0
        for line in file:
            end += len(line)
            found = _read_line(line)
            if found is None:
                continue
            whole_end = end
            next_seq[found.stream] = max(next_seq.get(found.stream, 0), found.seq + 1)
            if found.stream in with_sources:
                sources.setdefault(found.stream, Counter())[found.source] += 1
        _cut_off(file, whole_end, path)
    return {
        stream: Recorded(next_seq=n, sources=sources.get(stream, Counter()))
        for stream, n in next_seq.items()
    }


def read_last(path: Path, *, streams: Collection[str | None]) -> dict[str | None, Recorded]:
    """The numbers alone, of these streams: read from the end, so that months cost nothing.

    A stream without a record costs a look at all that there are. Raises: OutputError.
    """
    found: dict[str | None, Recorded] = {}
    if not path.exists():
        return found
    with output_errors(path), path.open("r+b") as file:
        whole_end = 0
        for end, line in _lines_from_the_end(file):
            record = _read_line(line)
            if record is None:
                continue
            whole_end = max(whole_end, end)
            found.setdefault(record.stream, Recorded(next_seq=record.seq + 1))
            if set(streams) <= found.keys():
                break
        _cut_off(file, whole_end, path)
    return found


def last_bundle(path: Path) -> str | None:
    """What judged the last part; None if that is not known. Raises: OutputError."""
    if not path.exists():
        return None
    with output_errors(path), path.open("rb") as file:
        records = (_read_line(line) for _, line in _lines_from_the_end(file))
        return next((record.bundle for record in records if record is not None), None)


def _lines_from_the_end(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(end, line) of each line, the last first; `end` is the byte after it in the file."""
    start = end = file.seek(0, os.SEEK_END)
    rest = b""
    while start > 0:
        n_bytes = min(BLOCK, start)
        start -= n_bytes
        file.seek(start)
        rest, *lines = (file.read(n_bytes) + rest).splitlines(keepends=True)
        for line in reversed(lines):
            yield end, line
            end -= len(line)
    if rest:
        yield end, rest


def _cut_off(file: BinaryIO, end: int, path: Path) -> None:
    """What follows the last whole record."""
    n_torn = file.seek(0, os.SEEK_END) - end
    if n_torn:
        _log.warning("%s: %d bytes of a torn record are cut off", path, n_torn)
        file.truncate(end)
        os.fsync(file.fileno())


def _read_line(line: bytes) -> _Whole | None:
    """None unless the line is a whole record."""
    if not line.endswith(b"\n"):
        return None
    try:
        plain = json.loads(line)
        stream, bundle = plain.get("stream"), plain.get("bundle") or None
        if not isinstance(stream, str | None):
            return None
        return _Whole(stream, int(plain["seq"]), str(plain["source"]), bundle)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
