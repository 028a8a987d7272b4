"""Cameras and network streams through OpenCV: read as fast as they deliver, found again when lost.

What is lost is told as a notice with the length of the outage. A camera that hangs often delivers
its last picture over and over; after a while such frames are not inspected, because they do not
show the part that is there.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeinspect.errors import DataError
from edgeinspect.runtime.inspection import Reason
from edgeinspect.stream.frames import Delivery, Frame, Recorded
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.patience import Patience

__all__ = ["Capture", "FrozenWatch", "LiveSource"]

_log = logging.getLogger(__name__)

PATIENCE = Patience(most_s=30.0)  # between tries to open again


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def read(self) -> tuple[bool, Any]:
        """(True, BGR picture (H, W, 3) or grey), or (False, anything) when nothing came."""
        ...

    def release(self) -> None: ...


class FrozenWatch:
    """Notices a picture that comes over and over, to the last pixel; sensors are never so quiet.

    Attributes:
        is_frozen: at least `n_same` frames over `after_s` seconds were the same.
    """

    def __init__(self, *, n_same: int = 10, after_s: float = 2.0) -> None:
        self.is_frozen = False
        self._n_same = n_same
        self._after_s = after_s
        self._checksum = 0
        self._n = 0
        self.since_s = 0.0

    def look(self, picture: NDArray[np.uint8], now_s: float) -> bool:
        """Whether the picture is frozen, this frame included."""
        checksum = zlib.crc32(np.ascontiguousarray(picture).data)
        if self._n == 0 or checksum != self._checksum:
            self._checksum, self._n, self.since_s = checksum, 1, now_s
        else:
            self._n += 1
        self.is_frozen = self._n >= self._n_same and now_s - self.since_s >= self._after_s
        return self.is_frozen


class LiveSource:
    """Frames of a camera or stream until it is stopped."""

    is_live = True
    is_lossless = False
    n_frames = None

    def __init__(
        self,
        name: str,
        connect: Callable[[], Capture],
        *,
        patience: Patience = PATIENCE,
        frozen: FrozenWatch | None = None,
    ) -> None:
        """Connects at once. Raises: DataError if there is nothing.

        Args:
            name: what records call it, without secrets.
            connect: opens the capture, or raises DataError.
        """
        self._name = name
        self._connect = connect
        self._patience = patience
        self._frozen = frozen or FrozenWatch()
        self._number = 0
        self._capture: Capture | None = connect()

    @property
    def folders(self) -> set[Path]:
        return set()

    def skip(self, recorded: Recorded) -> None:
        """What was recorded will not come again."""
        self._number = recorded.next_seq

    def frames(self, stop: threading.Event | None = None) -> Delivery:
        stop = stop or threading.Event()
        try:
            while not stop.is_set():
                frame = self._read()
                if frame is None:
                    yield from self._reconnect(stop)
                else:
                    yield from self._checked(frame)
        finally:
            self._release()

    def _read(self) -> Frame | None:
        """The next frame; its time is when it came, decoding is in the driver's hands."""
        if self._capture is None:
            return None
        is_read, bgr = self._capture.read()
        if not is_read or bgr is None:
            return None
        time_s, started_s = time.time(), time.perf_counter()
        picture = bgr if bgr.ndim == 2 else np.ascontiguousarray(bgr[..., ::-1])
        self._number += 1
        return Frame(
            source=f"{self._name}#{self._number - 1}",
            picture=picture.astype(np.uint8, copy=False),
            time_s=time_s,
            started_s=started_s,
            decode_ms=1e3 * (time.perf_counter() - started_s),
        )

    def _checked(self, frame: Frame) -> Delivery:
        """The frame, marked if the picture is frozen, and a notice when that begins or ends."""
        assert frame.picture is not None
        was_frozen, since_s = self._frozen.is_frozen, self._frozen.since_s
        is_frozen = self._frozen.look(frame.picture, frame.started_s)
        if is_frozen and not was_frozen:
            yield self._notice(NoticeKind.FROZEN, "delivers the same picture over and over")
        if was_frozen and not is_frozen:
            frozen_s = frame.started_s - since_s
            yield self._notice(NoticeKind.RECOVERED, "delivers new pictures again", frozen_s)
        yield dataclasses.replace(frame, reason=Reason.FROZEN) if is_frozen else frame

    def _reconnect(self, stop: threading.Event) -> Delivery:
        """Try again, waiting longer each time, until it is found or the run ends."""
        since_s, n_tries = time.perf_counter(), 0
        yield self._notice(NoticeKind.OUTAGE, "is lost; it is tried again")
        self._release()
        frame: Frame | None = None
        while frame is None and not stop.wait(self._patience.wait_s(n_tries)):
            frame = self._try_again()
            n_tries += 1
        lasted_s = time.perf_counter() - since_s
        if frame is None:
            yield self._notice(NoticeKind.OUTAGE, "was not found again before the end", lasted_s)
        else:
            yield self._notice(NoticeKind.RECOVERED, "is back", lasted_s)
            yield from self._checked(frame)

    def _try_again(self) -> Frame | None:
        """The first frame; None while nothing answers, or what answers delivers nothing."""
        try:
            self._capture = self._connect()
        except DataError as error:
            _log.debug("%s", error)
        frame = self._read()
        if frame is None:
            self._release()
        return frame

    def _notice(self, kind: NoticeKind, what: str, seconds: float | None = None) -> Notice:
        lasted = "" if seconds is None else f" after {seconds:.1f} s"
        return Notice.now(kind, f"{self._name} {what}{lasted}", seconds=seconds)

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None
