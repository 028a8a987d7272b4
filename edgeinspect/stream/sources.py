"""Sources: where frames come from, one after the other, each a picture or what is wrong with it.

First stage of a run. A source delivers frames in order; `read_ahead` decodes the next ones on a
thread of its own while the session computes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import logging
import os
import queue
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.images import is_picture, list_pictures, natural_key, read_picture
from edgeinspect.errors import DataError, ImageError
from edgeinspect.suggestions import suggest_path

__all__ = [
    "VIDEO_SUFFIXES",
    "Frame",
    "PictureSource",
    "Source",
    "VideoSource",
    "open_source",
    "read_ahead",
]

_log = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})
POLL_S = 0.05  # how soon a waiting stage notices that it should stop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture that a source delivered.

    Attributes:
        seq: 0, 1, 2, ... without gaps.
        source: the file, for a video with `#` and the number of the frame.
        picture: (H, W, 3) uint8 RGB, or None with `error` when it could not be read.
        time_s: seconds since the epoch at delivery; `started_s`: the same on `perf_counter`.
        decode_ms: from delivery to pixels.
    """

    seq: int
    source: str
    picture: NDArray[np.uint8] | None
    error: ImageError | None = None
    time_s: float
    started_s: float
    decode_ms: float


class Source(Protocol):
    """Anything that delivers frames."""

    @property
    def n_frames(self) -> int | None:
        """How many to expect; None if that is not known."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether frames come when they happen (a camera), not when they are asked for."""
        ...

    @property
    def folders(self) -> set[Path]:
        """Where the files lie that it reads; a run must not write there."""
        ...

    def frames(self) -> Generator[Frame, None, None]:
        """The frames, in order; may be called once."""
        ...


class PictureSource:
    """Picture files; one that cannot be read is a frame with an error."""

    is_live = False

    def __init__(self, paths: list[Path], *, white_level_16bit: int) -> None:
        self._paths = paths
        self._white_level_16bit = white_level_16bit

    @property
    def n_frames(self) -> int | None:
        return len(self._paths)

    @property
    def folders(self) -> set[Path]:
        return {path.parent for path in self._paths}

    def frames(self) -> Generator[Frame, None, None]:
        for seq, path in enumerate(self._paths):
            time_s, started_s = time.time(), time.perf_counter()
            picture, error = None, None
            try:
                picture = read_picture(path, white_level_16bit=self._white_level_16bit)
            except ImageError as found:
                error = found
            yield Frame(
                seq=seq,
                source=str(path),
                picture=picture,
                error=error,
                time_s=time_s,
                started_s=started_s,
                decode_ms=1e3 * (time.perf_counter() - started_s),
            )


class VideoSource:
    """The frames of a video file, as OpenCV decodes them."""

    is_live = False

    def __init__(self, path: Path) -> None:
        """Raises: DataError if it cannot be opened as a video, or holds no frame."""
        import cv2

        self._path = path
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg prints; the error says it
        self._video = cv2.VideoCapture(str(path))
        promised = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        self._n_frames = promised if promised > 0 else None
        first = self._next(0)
        if first is None:
            self._video.release()
            raise DataError(
                f"{path} holds no frame that can be read", hint="use MP4, AVI, MKV, MOV or WebM"
            )
        self._first = first

    @property
    def n_frames(self) -> int | None:
        return self._n_frames

    @property
    def folders(self) -> set[Path]:
        return {self._path.parent}

    def frames(self) -> Generator[Frame, None, None]:
        seq = 0
        frame: Frame | None = self._first
        try:
            while frame is not None:
                yield frame
                seq += 1
                frame = self._next(seq)
        finally:
            self._video.release()
        if self._n_frames is not None and seq < self._n_frames:
            _log.warning("%s promises %d frames, %d could be read", self._path, self._n_frames, seq)

    def _next(self, seq: int) -> Frame | None:
        time_s, started_s = time.time(), time.perf_counter()
        is_read, bgr = self._video.read()
        if not is_read:
            return None
        picture = np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8, copy=False)
        return Frame(
            seq=seq,
            source=f"{self._path}#{seq}",
            picture=picture,
            time_s=time_s,
            started_s=started_s,
            decode_ms=1e3 * (time.perf_counter() - started_s),
        )


def open_source(text: str, *, white_level_16bit: int = 65535) -> Source:
    """The source that a word on the command line means: a picture, folder, glob or video.

    Raises: DataError if it is missing, or holds no picture.
    """
    path = Path(text)
    if path.is_dir():
        pictures = list_pictures(path)
        if not pictures:
            raise DataError(f"{path} holds no pictures", hint="it needs PNG, JPEG, BMP or TIFF")
        return PictureSource(pictures, white_level_16bit=white_level_16bit)
    if path.is_file():
        if path.suffix.lower() in VIDEO_SUFFIXES:
            return VideoSource(path)
        return PictureSource([path], white_level_16bit=white_level_16bit)
    if glob.has_magic(text):
        found = sorted(map(Path, glob.glob(text, recursive=True)), key=natural_key)
        pictures = [p for p in found if is_picture(p)]
        if not pictures:
            raise DataError(f"no picture matches {text}", hint="quote the pattern, check the path")
        return PictureSource(pictures, white_level_16bit=white_level_16bit)
    raise DataError(f"there is no {path}", hint=suggest_path(path))


_END = object()


def read_ahead(
    source: Source, stop: threading.Event, *, depth: int = 2
) -> Generator[Frame, None, None]:
    """The frames of a source, read by a thread that is at most `depth` frames ahead.

    Ends early once `stop` is set. What the source raises is raised here, in its place. Unless
    the source is live, a frame's time begins when it is taken, less what decoding took: that a
    file was read early is no latency of the part.
    """
    waiting: queue.Queue[object] = queue.Queue(maxsize=depth)
    is_done = threading.Event()
    reader = threading.Thread(
        target=_read_all, args=(source, waiting, is_done), name="decode", daemon=True
    )
    reader.start()
    try:
        while not stop.is_set():
            item = _take(waiting, stop)
            if item is _END:
                return
            if isinstance(item, BaseException):
                raise item
            assert isinstance(item, Frame)
            yield item if source.is_live else _delivered_now(item)
    finally:
        is_done.set()
        reader.join()


def _delivered_now(frame: Frame) -> Frame:
    """A frame that was decoded before anyone asked for it: its decoding ends now."""
    ago_s = frame.decode_ms / 1e3
    return dataclasses.replace(
        frame, time_s=time.time() - ago_s, started_s=time.perf_counter() - ago_s
    )


def _read_all(source: Source, waiting: queue.Queue[object], is_done: threading.Event) -> None:
    try:
        with contextlib.closing(source.frames()) as frames:
            for frame in frames:
                if not _put(waiting, frame, is_done):
                    return
        _put(waiting, _END, is_done)
    except BaseException as error:  # handed to the stage that waits for it
        _put(waiting, error, is_done)


def _put(waiting: queue.Queue[object], item: object, is_done: threading.Event) -> bool:
    while not is_done.is_set():
        try:
            waiting.put(item, timeout=POLL_S)
            return True
        except queue.Full:
            continue
    return False


def _take(waiting: queue.Queue[object], stop: threading.Event) -> object:
    while not stop.is_set():
        try:
            return waiting.get(timeout=POLL_S)
        except queue.Empty:
            continue
    return _END
