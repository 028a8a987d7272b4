"""Pictures that a source repeats: a camera that hangs often delivers its last one over and over.

After a while such frames are not inspected, because they do not show the part that is there.
"""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
from numpy.typing import NDArray

from edgeinspect.runtime.inspection import Reason
from edgeinspect.stream.frames import Delivery, Frame
from edgeinspect.stream.notices import Notice, NoticeKind

__all__ = ["FrozenWatch"]


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
        self._since_s = 0.0

    def check(self, frame: Frame, name: str) -> Delivery:
        """The frame, marked if the picture is frozen, and a notice when that begins or ends.

        Frames without a picture say nothing. `name` is what the notice calls the source.
        """
        if frame.picture is None:
            yield frame
            return
        was_frozen, since_s = self.is_frozen, self._since_s
        is_frozen = self.look(frame.picture, frame.started_s)
        if is_frozen and not was_frozen:
            what = "delivers the same picture over and over"
            yield Notice.now(NoticeKind.FROZEN, f"{name} {what}")
        if was_frozen and not is_frozen:
            lasted_s = frame.started_s - since_s
            what = f"delivers new pictures again after {lasted_s:.1f} s"
            yield Notice.now(NoticeKind.RECOVERED, f"{name} {what}", seconds=lasted_s)
        yield dataclasses.replace(frame, reason=Reason.FROZEN) if is_frozen else frame

    def look(self, picture: NDArray[np.uint8], now_s: float) -> bool:
        """Whether the picture is frozen, this frame included."""
        checksum = zlib.crc32(np.ascontiguousarray(picture).data)
        if self._n == 0 or checksum != self._checksum:
            self._checksum, self._n, self._since_s = checksum, 1, now_s
        else:
            self._n += 1
        self.is_frozen = self._n >= self._n_same and now_s - self._since_s >= self._after_s
        return self.is_frozen
