"""The frames of a video file, as OpenCV decodes them."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import numpy as np

from edgeinspect.errors import DataError
from edgeinspect.stream.frames import Delivery, Frame, Recorded
from edgeinspect.stream.plain import printable

__all__ = ["VIDEO_SUFFIXES", "VideoSource"]

_log = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})


class VideoSource:
    """The frames of a video file."""

    is_live = False
    is_lossless = True

    def __init__(self, path: Path) -> None:
        """Raises: DataError if it cannot be opened as a video, or holds no frame."""
        import cv2

        self._path = path
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg prints; the error says it
        self._video = cv2.VideoCapture(str(path))
        promised = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        self._n_frames = promised if promised > 0 else None
        self._n_skipped = 0
        first = self._next(0)
        if first is None:
            self._video.release()
            raise DataError(
                f"{path} holds no frame that can be read", hint="use MP4, AVI, MKV, MOV or WebM"
            )
        self._first = first

    @property
    def n_frames(self) -> int | None:
        return None if self._n_frames is None else max(0, self._n_frames - self._n_skipped)

    @property
    def folders(self) -> set[Path]:
        return {self._path.parent}

    def skip(self, recorded: Recorded) -> None:
        split = (name.rpartition("#") for name in recorded.sources)
        numbers = [
            int(n) for of, _, n in split if of == printable(str(self._path)) and n.isdecimal()
        ]
        self._n_skipped = max(numbers) + recorded.every if numbers else 0

    def frames(self, stop: threading.Event | None = None) -> Delivery:
        number = 0
        frame: Frame | None = self._first
        try:
            while frame is not None:
                if number >= self._n_skipped:
                    yield frame
                number += 1
                frame = self._next(number)
        finally:
            self._video.release()
        if self._n_frames is not None and number < self._n_frames:
            _log.warning(
                "%s promises %d frames, %d could be read", self._path, self._n_frames, number
            )

    def _next(self, number: int) -> Frame | None:
        time_s, started_s = time.time(), time.perf_counter()
        is_read, bgr = self._video.read()
        if not is_read:
            return None
        picture = np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8, copy=False)
        return Frame(
            seq=number,
            source=f"{self._path}#{number}",
            picture=picture,
            time_s=time_s,
            started_s=started_s,
            decode_ms=1e3 * (time.perf_counter() - started_s),
        )
