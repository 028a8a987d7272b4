"""Cameras and network streams through OpenCV: read as fast as they deliver, found again when lost.

What is lost is told as a notice with the length of the outage.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgeinspect.errors import DataError
from edgeinspect.stream.frames import Delivery, Frame, Recorded
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.sources.frozen import FrozenWatch

__all__ = ["Capture", "LiveSource"]

_log = logging.getLogger(__name__)

PATIENCE = Patience(most_s=30.0)  # between tries to open again


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def read(self) -> tuple[bool, Any]:
        """(True, BGR picture (H, W, 3) or grey), or (False, anything) when nothing came."""
        ...

    def release(self) -> None: ...


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
                    yield from self._frozen.check(frame, self._name)
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
            yield from self._frozen.check(frame, self._name)

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
