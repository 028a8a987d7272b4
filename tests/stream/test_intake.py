from __future__ import annotations

import dataclasses
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.runtime.inspection import Reason
from edgeinspect.stream import intake as intake_module
from edgeinspect.stream.choices import Overload
from edgeinspect.stream.frames import Frame
from edgeinspect.stream.intake import MAX_NOTICES, Intake, Lane
from edgeinspect.stream.notices import Notice, NoticeKind
from tests.stream.made_frames import made_frame
from tests.stream.made_records import wait_until


def take_all(intake: Intake) -> list[Frame]:
    frames = []
    while (frame := intake.take()) is not None:
        frames.append(frame)
    return frames


def fill(intake: Intake, lane: Lane, n: int) -> None:
    for _ in range(n):
        assert intake.put(lane, made_frame(0))
    intake.end(lane)


@given(n=st.integers(0, 12), depth=st.integers(1, 4))
def test_a_source_that_waits_loses_no_frame_and_keeps_their_order(n, depth):
    lane = Lane()
    intake = Intake([lane], depth=depth)
    source = threading.Thread(target=fill, args=(intake, lane, n))
    source.start()
    assert [frame.seq for frame in take_all(intake)] == list(range(n))
    source.join()
    assert intake.n_dropped == 0


@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=3),
    depth=st.integers(1, 4),
    overload=st.sampled_from([Overload.DROP_OLDEST, Overload.LATEST]),
)
def test_frames_that_are_dropped_keep_their_place_and_the_newest_stay(lengths, depth, overload):
    lanes = [Lane(name=str(i), is_live=True, overload=overload) for i in range(len(lengths))]
    intake = Intake(lanes, depth=depth)
    for lane, n in zip(lanes, lengths, strict=True):
        fill(intake, lane, n)
    taken = take_all(intake)
    n_kept = 1 if overload is Overload.LATEST else depth
    for lane, n in zip(lanes, lengths, strict=True):
        of_lane = [frame for frame in taken if frame.stream == lane.name]
        assert [frame.seq for frame in of_lane] == list(range(n))
        n_dropped = max(0, n - n_kept)
        assert [f.reason is Reason.OVERLOAD for f in of_lane] == [i < n_dropped for i in range(n)]
        assert all(frame.picture is None for frame in of_lane[:n_dropped])
        assert lane.n_dropped == n_dropped
    assert intake.n_delivered == len(taken)


def test_streams_are_taken_in_turn():
    lanes = [Lane(name="a"), Lane(name="b")]
    intake = Intake(lanes, depth=3)
    for lane in lanes:
        fill(intake, lane, 3)
    assert [frame.stream for frame in take_all(intake)] == ["a", "b"] * 3


def test_what_waits_for_its_record_is_bounded_too(monkeypatch):
    monkeypatch.setattr(intake_module, "MAX_DROPPED", 5)
    lane = Lane(is_live=True, overload=Overload.LATEST)
    intake = Intake([lane])
    most: list[int] = []

    def fill_and_look() -> None:
        for _ in range(50):
            assert intake.put(lane, made_frame(0))
            most.append(len(lane.dropped))
        intake.end(lane)

    source = threading.Thread(target=fill_and_look)
    source.start()
    wait_until(lambda: len(most) >= 6)  # it is faster than what takes
    assert [frame.seq for frame in take_all(intake)] == list(range(50))
    source.join()
    assert max(most) == 5


def test_a_frame_that_could_not_be_read_keeps_that_reason_when_it_is_dropped():
    lane = Lane(is_live=True, overload=Overload.LATEST)
    intake = Intake([lane])
    intake.put(lane, made_frame(0, "broken"))
    intake.put(lane, made_frame(0))
    taken = intake.take()
    assert taken is not None
    assert taken.error is not None
    assert taken.reason is None


def test_after_a_stop_nothing_is_delivered_and_what_waits_can_be_taken():
    stop = threading.Event()
    lane = Lane()
    intake = Intake([lane], stop=stop)
    assert intake.put(lane, made_frame(0))
    stop.set()
    assert not intake.put(lane, made_frame(0))
    assert [frame.seq for frame in take_all(intake)] == [0]
    assert intake.n_delivered == 1


def test_a_source_that_waits_is_woken_when_the_run_ends():
    lane = Lane()
    intake = Intake([lane], depth=1)
    delivered: list[bool] = []
    intake.put(lane, made_frame(0))
    source = threading.Thread(target=lambda: delivered.append(intake.put(lane, made_frame(0))))
    source.start()
    intake.close()
    source.join()
    assert delivered == [False]


@pytest.mark.parametrize("is_live", [False, True])
def test_only_a_live_frame_is_older_than_its_decoding(is_live):
    made = made_frame(0, "broken")
    old = dataclasses.replace(made, started_s=made.started_s - 60, time_s=made.time_s - 60)
    lane = Lane(is_live=is_live)
    intake = Intake([lane])
    intake.put(lane, old)
    taken = intake.take()
    assert taken is not None
    age_s = time.perf_counter() - taken.started_s
    assert (age_s >= 60) is is_live
    assert age_s >= taken.decode_ms / 1e3


def test_numbers_go_on_where_an_earlier_start_ended():
    lane = Lane(next_seq=7)
    intake = Intake([lane], depth=2)
    fill(intake, lane, 2)
    assert [frame.seq for frame in take_all(intake)] == [7, 8]


def told(text: str, source: str | None = None) -> Notice:
    return Notice.now(NoticeKind.OUTAGE, text, source=source)


def test_a_notice_goes_with_the_next_frame_of_its_source_and_no_other():
    left, right = Lane(name="left"), Lane(name="right")
    intake = Intake([left, right])
    assert intake.put(right, made_frame(0))
    intake.note(told("lost", "right"))
    for lane in (left, right, right):
        assert intake.put(lane, made_frame(0))
    intake.close()
    frames = take_all(intake)
    texts = [(f.stream, f.seq, [n.text for n in f.notices]) for f in frames]
    assert sorted(texts) == [
        *(("left", 0, []), ("right", 0, []), ("right", 1, ["lost"]), ("right", 2, []))
    ]


def test_a_notice_of_no_source_goes_with_the_next_frame_of_any():
    lanes = [Lane(name="left"), Lane(name="right")]
    intake = Intake(lanes)
    intake.note(told("drift"))
    assert intake.put(lanes[1], made_frame(0))
    assert intake.put(lanes[0], made_frame(0))
    intake.close()
    assert {f.stream: len(f.notices) for f in take_all(intake)} == {"right": 1, "left": 0}


def test_a_frame_that_is_dropped_keeps_its_notices():
    lane = Lane(is_live=True, overload=Overload.LATEST)
    intake = Intake([lane])
    intake.note(told("lost"))
    fill(intake, lane, 2)
    assert [len(frame.notices) for frame in take_all(intake)] == [1, 0]


def test_notices_of_a_source_that_delivers_nothing_do_not_pile_up():
    lane = Lane(name="left")
    intake = Intake([lane])
    for i in range(10 * MAX_NOTICES):
        intake.note(told(str(i), "left"))
    fill(intake, lane, 1)
    (frame,) = take_all(intake)
    assert [notice.text for notice in frame.notices[-1:]] == [str(10 * MAX_NOTICES - 1)]
    assert len(frame.notices) == MAX_NOTICES
