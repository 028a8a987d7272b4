"""The frames of a video file, as OpenCV decodes them."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from edgeinspect.errors import DataError
from edgeinspect.stream.frames import Delivery, Frame, Recorded
from edgeinspect.stream.plain import printable

__all__ = ["VIDEO_SUFFIXES", "VideoSource"]

_log = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})
LONGEST_LACK_S = 0.5  # sound may go on for longer than the picture


class VideoSource:
    """The frames of a video file."""

    is_live = False
    is_lossless = True

    def __init__(self, path: Path) -> None:
        """Raises: DataError if it cannot be opened as a video, or holds no frame."""
        self._path = path
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg prints; the error says it
        self._video = cv2.VideoCapture(str(path))
        promised = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        self._n_frames = promised if promised > 0 else None
        self._fps = float(self._video.get(cv2.CAP_PROP_FPS))
        self._last_s = 0.0  # the time in the video of the last frame that was read
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
        """Raises: DataError after the last one if the file breaks off."""
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
        self._require_end(number)

    def _require_end(self, n_read: int) -> None:
        """Raise DataError if the frames end long before the time that the file promises.

        Their number alone does not tell: some containers know the time, and the number is guessed.
        """
        if self._n_frames is None or n_read >= self._n_frames:
            return
        what = f"{self._path} promises {self._n_frames} frames, {n_read} could be read"
        frame_s = 1 / self._fps if self._fps > 0 else math.inf
        lacks_s = (self._n_frames - 1) * frame_s - self._last_s
        if lacks_s == math.inf or lacks_s > max(LONGEST_LACK_S, 2 * frame_s):
            raise DataError(f"{what}: it breaks off", hint="copy or record it again")
        _log.warning("%s", what)

    def _next(self, number: int) -> Frame | None:
        time_s, started_s = time.time(), time.perf_counter()
        is_read, bgr = self._video.read()
        if not is_read:
            return None
        self._last_s = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        picture = np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8, copy=False)
        return Frame(
            seq=number,
            source=f"{self._path}#{number}",
            picture=picture,
            time_s=time_s,
            started_s=started_s,
            decode_ms=1e3 * (time.perf_counter() - started_s),
        )
