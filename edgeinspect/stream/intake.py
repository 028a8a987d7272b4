"""The intake: frames wait here for the session, each stream in its order, none without a trace.

Sources put frames from threads of their own, the first stage takes them in turn. When a stream's
place is full, `Overload` decides: the source waits, or a frame that waits loses its picture and
keeps its place, so that it still gets its record. Notices go with the next frame.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeinspect.runtime.inspection import Reason
from edgeinspect.stream.choices import Overload
from edgeinspect.stream.frames import Frame
from edgeinspect.stream.notices import Notice

__all__ = ["Intake", "Lane"]

MAX_DROPPED = 10_000  # frames without picture that may wait for their record, a stream
MAX_NOTICES = 64  # that may wait for a frame, the newest ones


@dataclass(slots=True)
class Lane:
    """One stream's place in the intake.

    Attributes:
        name: of the stream, or None.
        is_live: a frame's time runs from its delivery; else from when it is taken, less what
            decoding took: that a file was read early is no latency of the part.
        next_seq: of its next frame.
    """

    name: str | None = None
    is_live: bool = False
    overload: Overload = Overload.BLOCK
    next_seq: int = 0
    n_delivered: int = 0
    n_dropped: int = 0
    is_ended: bool = False
    dropped: deque[Frame] = field(default_factory=deque)
    waiting: deque[Frame] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.dropped) + len(self.waiting)

    def pop(self) -> Frame:
        """The oldest frame: those that were dropped are older than those that wait."""
        if self.dropped:
            return self.dropped.popleft()
        frame = self.waiting.popleft()
        return frame if self.is_live else _delivered_now(frame)


class Intake:
    """Frames of all streams on their way to the first stage."""

    def __init__(
        self, lanes: Sequence[Lane], *, depth: int = 4, stop: threading.Event | None = None
    ) -> None:
        """`depth`: pictures that may wait in each lane; `latest` keeps one.

        `stop`: once it is set nothing more is delivered; call `close` to wake who waits.
        """
        assert depth >= 1, f"depth is {depth}"
        self.lanes = tuple(lanes)
        self._depth = depth
        self._stop = stop or threading.Event()
        self._changed = threading.Condition()
        self._turn = 0
        self._notices: deque[Notice] = deque(maxlen=MAX_NOTICES)

    @property
    def n_delivered(self) -> int:
        return sum(lane.n_delivered for lane in self.lanes)

    @property
    def n_dropped(self) -> int:
        return sum(lane.n_dropped for lane in self.lanes)

    @property
    def n_waiting(self) -> int:
        return sum(len(lane) for lane in self.lanes)

    def note(self, notice: Notice) -> None:
        """Send a notice with the next frame of its source, or of any if it has none."""
        with self._changed:
            self._notices.append(notice)

    def put(self, lane: Lane, frame: Frame) -> bool:
        """Deliver a frame; False, and not delivered, if the stream ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed(lane) or self._has_room(lane))
            if self._is_closed(lane):
                return False
            if len(lane.waiting) >= self._room(lane):
                lane.dropped.append(_without_picture(lane.waiting.popleft()))
                lane.n_dropped += 1
            lane.waiting.append(
                dataclasses.replace(
                    frame, seq=lane.next_seq, stream=lane.name, notices=self._take_notices(lane)
                )
            )
            lane.next_seq += 1
            lane.n_delivered += 1
            self._changed.notify_all()
            return True

    def take(self) -> Frame | None:
        """Wait for the next frame, the streams in turn; None once all have ended."""
        with self._changed:
            while True:
                for i in range(len(self.lanes)):
                    lane = self.lanes[(self._turn + i) % len(self.lanes)]
                    if len(lane):
                        self._turn = (self._turn + i + 1) % len(self.lanes)
                        self._changed.notify_all()
                        return lane.pop()
                if all(map(self._is_closed, self.lanes)):
                    return None
                self._changed.wait()

    def end(self, lane: Lane) -> None:
        """A source has no more frames."""
        with self._changed:
            lane.is_ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """No source delivers any more; what waits can still be taken."""
        for lane in self.lanes:
            self.end(lane)

    def _take_notices(self, lane: Lane) -> tuple[Notice, ...]:
        taken = tuple(n for n in self._notices if n.source in (None, lane.name))
        for notice in taken:
            self._notices.remove(notice)
        return taken

    def _is_closed(self, lane: Lane) -> bool:
        return lane.is_ended or self._stop.is_set()

    def _room(self, lane: Lane) -> int:
        return 1 if lane.overload is Overload.LATEST else self._depth

    def _has_room(self, lane: Lane) -> bool:
        if lane.overload is Overload.BLOCK:
            return len(lane.waiting) < self._depth
        return len(lane.dropped) < MAX_DROPPED


def _without_picture(frame: Frame) -> Frame:
    """What is left of a frame that was dropped; one that could not be read stays that."""
    if frame.picture is None:
        return frame
    return dataclasses.replace(frame, picture=None, reason=Reason.OVERLOAD)


def _delivered_now(frame: Frame) -> Frame:
    """A frame that was decoded before anyone asked for it: its decoding ends now."""
    ago_s = frame.decode_ms / 1e3
    return dataclasses.replace(
        frame, time_s=time.time() - ago_s, started_s=time.perf_counter() - ago_s
    )
