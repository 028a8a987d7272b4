from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgeinspect.bundle import read_bundle
from edgeinspect.constants import Calibration
from edgeinspect.data.appearance import Appearance
from edgeinspect.runtime.inspector import Verdict
from edgeinspect.stream import drift as drift_module
from edgeinspect.stream.drift import STEP, WINDOW, DriftMonitor, DriftWindow
from edgeinspect.stream.records import Record
from edgeinspect.stream.sinks import Notice
from tests.bundles import good_picture, make_bundle
from tests.stream.made_records import made_record

N_GOOD = 100


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """Of 100 good parts with scores around 1 and pictures of grey 120."""
    bundle = read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))
    scores = np.random.default_rng(0).normal(1.0, 0.1, N_GOOD)
    looks = [Appearance.of(good_picture(seed)).as_row() for seed in range(N_GOOD)]
    return dataclasses.replace(
        bundle.require_calibration(),
        good_scores=scores,
        good_local=scores,
        good_global=scores,
        good_names=tuple(map(str, range(N_GOOD))),
        good_appearance=np.array(looks),
        threshold=dataclasses.replace(bundle.require_calibration().threshold, value=2.0),
    )


@pytest.fixture
def watched(calibration, monkeypatch):
    monkeypatch.setattr(drift_module, "LOOKING_SHARE", np.inf)  # at every picture
    notices: list[Notice] = []
    return DriftMonitor(calibration, notices.append), notices


def parts(n: int, *, score: float = 1.0, shade: int = 0, seed: int = 0) -> list[Record]:
    rng = np.random.default_rng(seed)
    made = []
    for seq in range(n):
        record = made_record(seq, score=float(rng.normal(score, 0.1)))
        picture = good_picture(1000 + seed * n + seq) - np.uint8(shade)
        frame = dataclasses.replace(record.frame, picture=picture)
        made.append(dataclasses.replace(record, frame=frame))
    return made


def told(notices: list[Notice]) -> list[str]:
    return [str(notice.values["trait"]) for notice in notices]


def test_parts_like_those_of_calibration_are_no_drift(watched):
    monitor, notices = watched
    for record in parts(4 * WINDOW):
        monitor.put(record)
    assert notices == []


def test_higher_scores_are_told_once_with_the_figures(watched, caplog):
    monitor, notices = watched
    for record in parts(4 * WINDOW, score=1.1):
        monitor.put(record)
    assert told(notices) == ["score"]
    assert notices[0].values["share"] > notices[0].values["reference_share"] + 0.25
    assert caplog.text.count("drift: the scores of OK parts differ from calibration") == 1


def test_a_lamp_that_ages_is_told_as_brightness_and_not_as_score(watched):
    monitor, notices = watched
    for record in parts(2 * WINDOW, shade=2):
        monitor.put(record)
    assert told(notices) == ["brightness"]
    assert notices[0].values["is_lower"]


def test_parts_that_were_not_inspected_are_not_looked_at(watched):
    monitor, notices = watched
    for seq in range(2 * WINDOW):
        monitor.put(made_record(seq, Verdict.NOT_INSPECTED))
    assert notices == []


def test_a_new_calibration_starts_anew(watched, calibration):
    monitor, notices = watched
    for _ in range(2):
        for record in parts(2 * WINDOW, score=1.1):
            monitor.put(record)
        monitor.use(calibration)
    assert told(notices) == ["score", "score"]


def test_a_calibration_that_knows_no_pictures_watches_scores(calibration, monkeypatch):
    older = dataclasses.replace(calibration, good_appearance=np.zeros((0, 3)))
    notices: list[Notice] = []
    monitor = DriftMonitor(older, notices.append)
    for record in parts(2 * WINDOW, score=1.1, shade=20):
        monitor.put(record)
    assert told(notices) == ["score"]


def test_pictures_cost_a_small_share_of_a_core(calibration):
    monitor = DriftMonitor(calibration, lambda notice: None)
    n_looks = 0
    of = Appearance.of

    def counted(picture: np.ndarray) -> Appearance:
        nonlocal n_looks
        n_looks += 1
        return of(picture)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drift_module.Appearance, "of", counted)
        for record in parts(50):
            monitor.put(record)
    assert 1 <= n_looks < 25


def test_false_alarms_are_as_rare_as_stated():
    rng, level = np.random.default_rng(1), 0.02
    n_tests = n_alarms = 0
    for _ in range(300):
        window = DriftWindow(rng.normal(size=60), level=level)
        for _ in range(WINDOW + 4 * STEP):
            n_alarms += window.add(float(rng.normal())) is not None
        n_tests += 5
    assert n_alarms <= 2 * level * n_tests  # the smallest gap that counts makes it rarer still


def test_few_good_parts_are_no_reference():
    window = DriftWindow(np.zeros(10), level=0.5)
    assert all(window.add(9.0) is None for _ in range(2 * WINDOW))
