"""Pictures from files: a list of them, or paths that come on standard input."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from edgeinspect.data.images import read_picture
from edgeinspect.errors import ImageError
from edgeinspect.stream.frames import Delivery, Frame, Recorded

__all__ = ["PathsSource", "PictureSource", "read_frame"]

POLL_S = 0.2  # how soon a source that waits notices that it should stop
N_DECODERS = max(1, min(4, os.cpu_count() or 1))


class PictureSource:
    """Picture files; one that cannot be read is a frame with an error."""

    is_live = False
    is_lossless = True

    def __init__(self, paths: list[Path], *, white_level_16bit: int) -> None:
        self._paths = paths
        self._white_level_16bit = white_level_16bit

    @property
    def n_frames(self) -> int | None:
        return len(self._paths)

    @property
    def folders(self) -> set[Path]:
        return {path.parent for path in self._paths}

    def skip(self, recorded: Recorded) -> None:
        self._paths = [Path(name) for name in recorded.without(map(str, self._paths))]

    def frames(self, stop: threading.Event | None = None) -> Delivery:
        """In order, though several are decoded at once."""
        ahead: deque[Future[Frame]] = deque()
        with ThreadPoolExecutor(N_DECODERS, thread_name_prefix="decode") as decoders:
            for seq, path in enumerate(self._paths):
                ahead.append(decoders.submit(read_frame, path, self._white_level_16bit, seq))
                if len(ahead) >= N_DECODERS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()


class PathsSource:
    """Pictures whose paths come line by line, such as on standard input, until it ends."""

    is_live = False
    is_lossless = True
    n_frames = None

    def __init__(self, descriptor: int, *, white_level_16bit: int) -> None:
        """`descriptor`: of the open file that has the lines."""
        self._descriptor = descriptor
        self._white_level_16bit = white_level_16bit
        self._recorded = Recorded()

    @property
    def folders(self) -> set[Path]:
        return set()

    def skip(self, recorded: Recorded) -> None:
        self._recorded = recorded

    def frames(self, stop: threading.Event | None = None) -> Delivery:
        names = (os.fsdecode(line) for line in self._lines(stop or threading.Event()))
        for seq, name in enumerate(self._recorded.without(names)):
            yield read_frame(Path(name), self._white_level_16bit, seq)

    def _lines(self, stop: threading.Event) -> Iterator[bytes]:
        """Lines that are not empty, as they come; looks often whether it should stop."""
        rest = b""
        while not stop.is_set():
            if not select.select([self._descriptor], [], [], POLL_S)[0]:
                continue
            data = os.read(self._descriptor, 1 << 16)
            *lines, rest = (rest + data).split(b"\n") if data else (rest, b"")
            yield from filter(None, (line.rstrip(b"\r") for line in lines))
            if not data:
                return


def read_frame(path: Path, white_level_16bit: int, seq: int = 0) -> Frame:
    """A picture file as a frame, with its error if it cannot be read."""
    time_s, started_s = time.time(), time.perf_counter()
    picture, error = None, None
    try:
        picture = read_picture(path, white_level_16bit=white_level_16bit)
    except ImageError as found:
        error = found
    except ValueError:  # a name that no file can have, such as one from `find -print0`
        error = ImageError(f"{str(path)[:80]!r} is no name of a file", hint="one a line")
    return Frame(
        seq=seq,
        source=str(path),
        picture=picture,
        error=error,
        time_s=time_s,
        started_s=started_s,
        decode_ms=1e3 * (time.perf_counter() - started_s),
    )
