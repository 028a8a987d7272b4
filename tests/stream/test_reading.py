from __future__ import annotations

import dataclasses
import threading
import time

import pytest

from edgeinspect.errors import ConfigError
from edgeinspect.runtime.inspection import Reason
from edgeinspect.stream.frames import Frame
from edgeinspect.stream.intake import Intake, Lane
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.reading import Reader, Selection, read_roi
from tests.stream.made_frames import MadeSource, made_frame
from tests.stream.made_records import HANGS_S


def read(source: MadeSource, selection: Selection) -> list[Frame]:
    lane = Lane(is_live=source.is_live)
    intake = Intake([lane], depth=100)
    reader = Reader(source, lane, intake, selection, note=lambda n: None)
    reader.start()
    frames = []
    while (frame := intake.take()) is not None:
        frames.append(frame)
    assert reader.join(within_s=HANGS_S)
    return frames


@pytest.mark.parametrize(("every", "seqs"), [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (9, [0])])
def test_each_nth_frame_is_taken_and_they_are_numbered_without_gaps(every, seqs):
    frames = read(MadeSource(["broken"] * 5), Selection(every=every))
    assert [frame.source for frame in frames] == [f"line/{i}_broken.png" for i in seqs]
    assert [frame.seq for frame in frames] == list(range(len(seqs)))


def test_a_camera_that_is_faster_than_the_rate_has_frames_left_out():
    frames = read(MadeSource(["broken"] * 50, is_live=True), Selection(rate_per_s=0.01))
    assert len(frames) == 1


def test_files_that_appear_wait_for_the_rate_as_files_do():
    watched = MadeSource(["broken"] * 5, is_live=True, is_lossless=True)
    assert len(read(watched, Selection(rate_per_s=100.0))) == 5


def test_files_wait_for_the_rate():
    start_s = time.perf_counter()
    assert len(read(MadeSource(["broken"] * 5), Selection(rate_per_s=100.0))) == 5
    assert time.perf_counter() - start_s > 0.039  # four waits of 10 ms


def test_the_roi_is_cut_out():
    (frame,) = read(MadeSource(["good"]), Selection(roi=(8, 4, 16, 32)))
    whole = made_frame(0).picture
    assert frame.picture is not None
    assert whole is not None
    assert (frame.picture == whole[4:36, 8:24]).all()


def test_a_picture_that_does_not_hold_the_roi_is_a_frame_with_an_error():
    (frame,) = read(MadeSource(["good"]), Selection(roi=(60, 0, 16, 16)))
    assert frame.picture is None
    assert "64 x 64 px, which do not hold the roi" in str(frame.error)
    assert frame.reason is Reason.SIZE


def test_a_roi_is_four_numbers_with_an_area():
    assert read_roi("1,2,30,40") == (1, 2, 30, 40)
    for text in ("1,2,3", "a,b,c,d", "-1,0,5,5", "0,0,0,5"):
        with pytest.raises(ConfigError, match="roi"):
            read_roi(text)


def test_a_source_and_a_reason_of_a_third_party_become_what_they_mean():
    class Odd(MadeSource):
        def frames(self, stop: threading.Event | None = None):  # type: ignore[no-untyped-def]
            for frame in super().frames(stop):
                yield dataclasses.replace(frame, source=7, reason="frozen")  # type: ignore[arg-type]

    (frame,) = read(Odd(["good"]), Selection())
    assert (frame.source, frame.reason) == ("7", Reason.FROZEN)


def test_notices_of_a_source_are_logged_and_have_its_name(caplog):
    class Losing(MadeSource):
        def frames(self, stop: threading.Event | None = None):  # type: ignore[no-untyped-def]
            yield Notice.now(NoticeKind.OUTAGE, "lost")

    told: list[Notice] = []
    lane = Lane(name="left")
    intake = Intake([lane])
    reader = Reader(Losing([]), lane, intake, Selection(), note=told.append)
    reader.start()
    assert intake.take() is None
    assert [(notice.source, notice.text) for notice in told] == [("left", "lost")]
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "lost")
    ]
