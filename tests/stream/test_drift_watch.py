from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.constants import Calibration
from edgeinspect.runtime.inspection import Reason, Verdict
from edgeinspect.stream import drift_watch as watch_module
from edgeinspect.stream.drift import WINDOW
from edgeinspect.stream.drift_watch import DriftWatch
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.records import Record
from tests.bundles import make_bundle
from tests.stream.made_records import HANGS_S, made_record, wait_until

BATCH, N_PARTS = 8, 1260


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture(scope="module")
def calibration(bundle: Bundle) -> Calibration:
    """With the threshold of made records."""
    made = bundle.require_calibration()
    return dataclasses.replace(made, threshold=dataclasses.replace(made.threshold, value=2.0))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last look is awaited, on however busy a machine."""
    monkeypatch.setattr(watch_module, "LEAVE_S", HANGS_S)


def watch(calibration: Calibration, note: Callable[[Notice], None] = lambda n: None) -> DriftWatch:
    return DriftWatch(calibration, note)


def shaded(seq: int, shade: int) -> Record:
    """A part whose picture is all of one grey value."""
    record = made_record(seq)
    picture = np.full((8, 8, 3), shade, np.uint8)
    return dataclasses.replace(record, frame=dataclasses.replace(record.frame, picture=picture))


def seen_shades(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    of = watch_module.DriftMonitor.take_picture

    def counted(self: object, picture: np.ndarray) -> None:
        seen.append(int(picture.flat[0]))
        of(self, picture)  # type: ignore[arg-type]

    monkeypatch.setattr(watch_module.DriftMonitor, "take_picture", counted)
    return seen


def test_of_parts_in_batches_every_score_and_each_place_in_a_batch_is_seen(
    calibration, monkeypatch
):
    monkeypatch.setattr(watch_module, "random", random.Random(0))
    seen, watched = seen_shades(monkeypatch), watch(calibration)
    for first in range(0, N_PARTS, BATCH):
        for place in range(BATCH):
            watched.put(shaded(first + place, place))
        watched.look()
    n_rounds = -(-N_PARTS // BATCH)
    assert watched.counts() == {"score": n_rounds * BATCH, "picture": n_rounds}
    fewest = n_rounds / BATCH / 3  # of 20 that are expected
    assert min(Counter(seen)[place] for place in range(BATCH)) > fewest


def test_a_line_that_is_slow_has_every_picture_looked_at(calibration, monkeypatch):
    seen, watched = seen_shades(monkeypatch), watch(calibration)
    for seq in range(20):
        watched.put(shaded(seq, seq))
        watched.look()
    assert seen == list(range(20))


def test_a_lamp_that_ages_is_told_at_a_batch_of_eight_by_the_thread_itself(
    calibration, monkeypatch
):
    monkeypatch.setattr(watch_module, "REST_S", 0.0)
    monkeypatch.setattr(watch_module, "LOOKING_SHARE", np.inf)
    told: list[Notice] = []
    with watch(calibration, told.append) as watched:
        for batch in range(WINDOW):
            for place in range(BATCH):
                watched.put(shaded(batch * BATCH + place, 7))
            wait_until(lambda: watched.counts()["picture"] > batch)  # noqa: B023
    assert "brightness" in {notice.values.get("trait") for notice in told}


def test_what_waits_at_the_end_is_looked_at(calibration):
    with watch(calibration) as watched:
        for seq in range(5):
            watched.put(made_record(seq))
    assert watched.counts()["score"] == 5
    assert watched.counts()["picture"] >= 1


def test_looking_takes_a_small_share_of_a_core(calibration, monkeypatch):
    clock = iter(np.arange(0.0, 10.0, 0.4))
    monkeypatch.setattr(watch_module.time, "thread_time", lambda: float(next(clock)))
    watched = watch(calibration)
    watched.put(made_record(0))
    watched.look()
    assert watched._rest_s == pytest.approx(0.4 / 0.05)


def not_inspected(record: Record, reason: Reason) -> Record:
    """With the score that it has."""
    found = dataclasses.replace(record.inspection, verdict=Verdict.NOT_INSPECTED, reason=reason)
    return dataclasses.replace(record, inspection=found)


def judged_by_another(record: Record) -> Record:
    return dataclasses.replace(
        record, inspection=dataclasses.replace(record.inspection, threshold=3.0)
    )


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (made_record(0), (1, 1)),
        (made_record(0, Verdict.NG), (0, 1)),
        (not_inspected(made_record(0), Reason.DEADLINE), (1, 1)),
        (not_inspected(made_record(0), Reason.BLANK), (0, 1)),
        (made_record(0, Verdict.NOT_INSPECTED), (0, 0)),
        (judged_by_another(made_record(0)), (0, 0)),
    ],
)
def test_scores_are_of_parts_below_the_threshold_and_pictures_of_all_that_were_judged(
    calibration, record, counts
):
    watched = watch(calibration)
    watched.put(record)
    watched.look()
    assert tuple(watched.counts().values()) == counts


def test_a_camera_of_grey_pictures_is_watched(calibration):
    record = made_record(0)
    grey = dataclasses.replace(record.frame, picture=np.full((8, 8), 7, np.uint8))
    watched = watch(calibration)
    watched.put(dataclasses.replace(record, frame=grey))
    watched.look()
    assert watched.counts()["picture"] == 1


def test_another_calibration_is_followed_and_what_it_lacks_is_said(calibration):
    told: list[Notice] = []
    older = dataclasses.replace(
        calibration,
        good_appearance=np.zeros((0, 3)),
        threshold=dataclasses.replace(calibration.threshold, value=3.0),
    )
    watched = watch(calibration, told.append)
    watched.put(made_record(0))
    watched.use(older)
    watched.put(judged_by_another(made_record(1)))
    watched.look()
    assert watched.counts() == {"score": 1, "picture": 0}
    assert [notice.kind for notice in told] == [NoticeKind.UNWATCHED]


def test_trouble_with_a_picture_ends_the_watch_and_is_said(calibration, caplog):
    told: list[Notice] = []
    record = made_record(0)
    odd = dataclasses.replace(record.frame, picture=np.zeros((2, 2, 7), np.uint8))
    with watch(calibration, told.append) as watched:
        watched.put(dataclasses.replace(record, frame=odd))
    assert [notice.kind for notice in told] == [NoticeKind.UNWATCHED]
    assert "drift is not watched any more: " in caplog.text


def test_a_drift_of_the_brightness_stands_in_the_record_of_a_part_after_it(
    tmp_path: Path, bundle: Bundle, monkeypatch
):
    """Through a run in batches of eight, whose pictures are darker than those of calibration."""
    from edgeinspect.runtime.inspector import Inspector
    from edgeinspect.runtime.session import open_session
    from edgeinspect.stream.outlets import open_outlets
    from edgeinspect.stream.run import run_stream
    from tests.stream.made_frames import MadeSource, read_records

    monkeypatch.setattr(watch_module, "REST_S", 0.0)
    monkeypatch.setattr(watch_module, "LOOKING_SHARE", np.inf)
    monkeypatch.setattr("edgeinspect.stream.drift.WINDOW", 16)
    monkeypatch.setattr("edgeinspect.stream.drift.STEP", 1)
    monkeypatch.setattr("edgeinspect.stream.drift.FALSE_ALARMS", 1.0)
    opened: list[DriftWatch] = []
    enter = DriftWatch.__enter__
    monkeypatch.setattr(DriftWatch, "__enter__", lambda self: (opened.append(self), enter(self))[1])

    traits: list[str | None] = []

    def is_seen(n: int) -> bool:
        """Whether `n` pictures were looked at, or no further one needs to be."""
        return "brightness" in traits or (bool(opened) and opened[0].counts()["picture"] >= n)

    def noting(note: Callable[[Notice], None]) -> Callable[[Notice], None]:
        def heard(notice: Notice) -> None:
            note(notice)
            traits.append(notice.values.get("trait"))

        return heard

    class Dark(MadeSource):
        """Delivers the next batch once one more picture was looked at."""

        def frames(self, stop=None):  # type: ignore[no-untyped-def]
            for frame in super().frames(stop):
                if frame.seq % BATCH == 0:
                    wait_until(lambda: is_seen(frame.seq // BATCH))  # noqa: B023
                yield dataclasses.replace(frame, picture=frame.picture - np.uint8(20))

    with open_session(bundle, threads=1) as session:
        inspector = Inspector(bundle, session, batch=BATCH)
        run_stream(
            inspector,
            Dark(["good"] * 20 * BATCH),
            tmp_path,
            connect=lambda run: open_outlets(
                run.folder.path, run.about(), run.calibration, note=noting(run.note)
            ),
        )
    told = [notice for record in read_records(tmp_path) for notice in record["notices"]]
    assert "brightness" in [notice["values"].get("trait") for notice in told]
