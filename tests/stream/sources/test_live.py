from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from edgeinspect.errors import DataError
from edgeinspect.runtime.inspection import Reason
from edgeinspect.stream.frames import Frame, Recorded
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.sources.frozen import FrozenWatch
from edgeinspect.stream.sources.live import LiveSource

AT_ONCE = Patience(first_s=0.0, most_s=0.0)


def noisy(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


class MadeCapture:
    """Delivers pictures (BGR), then nothing."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self.pictures = iter(pictures)
        self.is_released = False

    def read(self) -> tuple[bool, np.ndarray | None]:
        picture = next(self.pictures, None)
        return picture is not None, picture

    def release(self) -> None:
        self.is_released = True


class MadeCamera:
    """What each try to connect gives: a capture, or DataError where there is None."""

    def __init__(self, tries: Sequence[Sequence[np.ndarray] | None]) -> None:
        self.tries = iter(tries)
        self.captures: list[MadeCapture] = []

    def __call__(self) -> MadeCapture:
        pictures = next(self.tries, None)
        if pictures is None:
            raise DataError("no camera")
        self.captures.append(MadeCapture(pictures))
        return self.captures[-1]


def deliver(source: LiveSource, n_items: int) -> list[Frame | Notice]:
    """The first items; the source is then told to stop."""
    stop = threading.Event()
    frames = source.frames(stop)
    items = list(itertools.islice(frames, n_items))
    stop.set()
    items += frames
    return items


def kinds(items: Sequence[Frame | Notice]) -> list[str]:
    return [item.kind.value if isinstance(item, Notice) else "frame" for item in items]


def test_a_camera_that_is_not_there_at_the_start_is_an_error():
    with pytest.raises(DataError, match="no camera"):
        LiveSource("camera", MadeCamera([None]))


def test_a_lost_camera_is_found_again_and_the_outage_is_told_with_its_length():
    camera = MadeCamera([[noisy(0)], None, None, [noisy(1), noisy(2)]])
    items = deliver(LiveSource("camera", camera, patience=AT_ONCE), 5)
    assert kinds(items)[:5] == ["frame", "outage", "recovered", "frame", "frame"]
    recovered = items[2]
    assert isinstance(recovered, Notice)
    assert recovered.seconds is not None
    assert "camera is back after" in recovered.text
    assert all(capture.is_released for capture in camera.captures)


def test_what_answers_and_delivers_nothing_is_not_back_yet():
    camera = MadeCamera([[noisy(0)], [], [], [noisy(1), noisy(2)]])
    items = deliver(LiveSource("camera", camera, patience=AT_ONCE), 5)
    assert kinds(items)[:5] == ["frame", "outage", "recovered", "frame", "frame"]
    assert all(capture.is_released for capture in camera.captures)


def test_an_outage_that_does_not_end_is_told_with_its_length_too():
    items = deliver(LiveSource("camera", MadeCamera([[noisy(0)]]), patience=AT_ONCE), 2)
    last = items[-1]
    assert isinstance(last, Notice)
    assert last.kind is NoticeKind.OUTAGE
    assert last.seconds is not None


def test_waiting_grows_and_is_bounded():
    patience = Patience(first_s=1.0, most_s=30.0)
    waits = [patience.wait_s(n) for n in (0, 3, 100)]
    assert 0.75 <= waits[0] <= 1.25
    assert 6 <= waits[1] <= 10
    assert 22.5 <= waits[2] <= 37.5


def test_frames_are_rgb_and_numbered_across_outages():
    blue = np.zeros((8, 8, 3), np.uint8)
    blue[..., 0] = 255
    camera = MadeCamera([[blue], [noisy(1)]])
    items = deliver(LiveSource("camera", camera, patience=AT_ONCE), 4)
    frames = [item for item in items if isinstance(item, Frame)]
    assert [frame.source for frame in frames] == ["camera#0", "camera#1"]
    assert frames[0].picture is not None
    assert frames[0].picture[0, 0].tolist() == [0, 0, 255]


def test_a_resumed_camera_goes_on_counting():
    source = LiveSource("camera", MadeCamera([[noisy(0)]]), patience=AT_ONCE)
    source.skip(Recorded(next_seq=41))
    first = deliver(source, 1)[0]
    assert isinstance(first, Frame)
    assert first.source == "camera#41"


def test_a_picture_that_comes_over_and_over_is_told_and_not_inspected():
    camera = MadeCamera([[noisy(0), *[noisy(1)] * 4, noisy(2)]])
    frozen = FrozenWatch(n_same=3, after_s=0.0)
    items = deliver(LiveSource("camera", camera, patience=AT_ONCE, frozen=frozen), 8)[:8]
    assert kinds(items) == ["frame"] * 3 + ["frozen"] + ["frame"] * 2 + ["recovered", "frame"]
    reasons = [item.reason for item in items if isinstance(item, Frame)]
    assert reasons == [None, None, None, Reason.FROZEN, Reason.FROZEN, None]


def test_a_few_equal_pictures_in_a_short_time_are_not_frozen():
    watch = FrozenWatch(n_same=3, after_s=2.0)
    times = (0.0, 0.5, 1.0, 1.9, 2.0)
    assert [watch.look(noisy(0), t) for t in times] == [False, False, False, False, True]
    assert not FrozenWatch(n_same=10).look(noisy(0), 99.0)
