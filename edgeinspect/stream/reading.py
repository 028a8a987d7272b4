"""Reading: the thread that takes frames from a source, leaves out some, and delivers the rest."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgeinspect.errors import ConfigError, DataError, EdgeInspectError, ImageError
from edgeinspect.numbers import width_by_height
from edgeinspect.runtime.inspection import Reason
from edgeinspect.runtime.inspector import check_picture
from edgeinspect.stream.frames import Frame, Source
from edgeinspect.stream.intake import Intake, Lane
from edgeinspect.stream.notices import Notice, NoticeKind, tell
from edgeinspect.stream.plain import is_time

__all__ = ["Reader", "Selection", "read_roi"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which frames of a source are delivered, and what of them.

    Attributes:
        every: the first of every so many.
        rate_per_s: at most so many; a camera has frames left out, a lossless source waits.
        roi: (x, y, width, height) in px of the picture; None: all of it.
    """

    every: int = 1
    rate_per_s: float | None = None
    roi: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        """Raises: ConfigError."""
        if self.every < 1:
            raise ConfigError(f"every is {self.every}: it must be at least 1")
        if self.rate_per_s is not None and not self.rate_per_s > 0:
            raise ConfigError(f"fps is {self.rate_per_s:g}: it must be above 0")

    def crop(self, frame: Frame) -> Frame:
        """The frame with its roi alone; one that does not hold it is a frame with an error."""
        if self.roi is None or frame.picture is None:
            return frame
        x, y, width, height = self.roi
        picture = frame.picture[y : y + height, x : x + width]
        if picture.shape[:2] == (height, width):
            return dataclasses.replace(frame, picture=picture)
        shape = width_by_height(frame.picture.shape)
        error = ImageError(f"{frame.source} has {shape} px, which do not hold the roi {self.roi}")
        return dataclasses.replace(frame, picture=None, error=error, reason=Reason.SIZE)


def read_roi(text: str) -> tuple[int, int, int, int]:
    """`x,y,width,height` in px. Raises: ConfigError."""
    try:
        x, y, width, height = (int(word) for word in text.split(","))
    except ValueError as error:
        raise ConfigError(f"the roi {text!r} is not x,y,width,height") from error
    if min(x, y) < 0 or min(width, height) < 1:
        raise ConfigError(f"the roi {text!r} has no area inside the picture")
    return x, y, width, height


class Reader:
    """A source's thread. `error` is what the source raised, once it has ended."""

    def __init__(
        self,
        source: Source,
        lane: Lane,
        intake: Intake,
        selection: Selection,
        *,
        note: Callable[[Notice], None],
    ) -> None:
        self.error: Exception | None = None
        self._source = source
        self._lane = lane
        self._intake = intake
        self._selection = selection
        self._stop = threading.Event()
        self._note = note
        self._next_s: float | None = None
        self._thread = threading.Thread(target=self._read, name="source", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell the source to end; does not wait for it."""
        self._stop.set()

    def join(self, *, within_s: float) -> bool:
        """Wait for the end; False if the source does not come back."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _read(self) -> None:
        try:
            with contextlib.closing(self._source.frames(self._stop)) as delivery:
                n_frames = 0
                for item in delivery:
                    if isinstance(item, Notice):
                        self._tell(item)
                        continue
                    n_frames += 1
                    is_wanted = (n_frames - 1) % self._selection.every == 0 and self._is_time()
                    if is_wanted and not self._deliver(item):
                        return
        except (EdgeInspectError, AssertionError) as error:  # raised again on the caller's thread
            self.error = error
        except Exception as error:  # of the system, or a bug of a third party's
            _log.debug("a source failed", exc_info=True)
            of = "the source" if self._lane.name is None else f"the source {self._lane.name}"
            self.error = DataError(f"{of} failed: {type(error).__name__}: {error}")
        finally:
            self._intake.end(self._lane)

    def _tell(self, notice: Notice) -> None:
        level = logging.INFO if notice.kind is NoticeKind.RECOVERED else logging.WARNING
        tell(self._note, dataclasses.replace(notice, source=self._lane.name), level=level)

    def _deliver(self, frame: Frame) -> bool:
        sound = _with_sound_picture(_with_sound_words(_with_sound_times(frame)))
        return self._intake.put(self._lane, self._selection.crop(sound))

    def _is_time(self) -> bool:
        """Whether the rate allows another frame now; files wait until it does."""
        if self._selection.rate_per_s is None:
            return True
        now_s, step_s = time.perf_counter(), 1 / self._selection.rate_per_s
        if self._next_s is None:
            self._next_s = now_s
        if now_s < self._next_s:
            if not self._source.is_lossless:
                return False
            self._stop.wait(self._next_s - now_s)
        self._next_s = max(self._next_s + step_s, now_s)
        return True


def _with_sound_picture(frame: Frame) -> Frame:
    """The frame; one whose picture, of a third party, is none is a frame with an error."""
    if frame.picture is None:
        return frame
    try:
        check_picture(frame.picture)
        if not frame.picture.size:
            raise ImageError("a picture has no pixels")
    except ImageError as error:
        return dataclasses.replace(frame, picture=None, error=error, reason=Reason.SIZE)
    return frame


def _with_sound_words(frame: Frame) -> Frame:
    """The frame, whose source is a text, whatever a third party has it as.

    Raises: ValueError for a reason that there is not.
    """
    reason = None if frame.reason is None else Reason(frame.reason)
    return dataclasses.replace(frame, source=str(frame.source), reason=reason)


def _with_sound_times(frame: Frame) -> Frame:
    """The frame; where a third party gives a time that is none, it is delivered now."""
    if is_time(frame.time_s) and math.isfinite(frame.started_s) and math.isfinite(frame.decode_ms):
        return frame
    return dataclasses.replace(
        frame, time_s=time.time(), started_s=time.perf_counter(), decode_ms=0.0
    )
