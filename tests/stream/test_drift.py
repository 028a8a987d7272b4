from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgeinspect.bundle import read_bundle
from edgeinspect.constants import Calibration
from edgeinspect.data.appearance import Appearance
from edgeinspect.data.images import to_8_bits
from edgeinspect.stream.drift import FALSE_ALARMS, STEP, WINDOW, DriftMonitor, DriftWindow
from edgeinspect.stream.notices import Notice, NoticeKind
from tests.bundles import good_picture, make_bundle

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
def watched(calibration):
    notices: list[Notice] = []
    return DriftMonitor(calibration, notices.append), notices


def feed(
    monitor: DriftMonitor, n: int, *, score: float = 1.0, shade: int = 0, seed: int = 0
) -> None:
    rng = np.random.default_rng(seed)
    for seq in range(n):
        monitor.take_score(float(rng.normal(score, 0.1)))
        monitor.take_picture(good_picture(1000 + seed * n + seq) - np.uint8(shade))


def told(notices: list[Notice]) -> list[str]:
    return [str(notice.values["trait"]) for notice in notices]


def test_parts_like_those_of_calibration_are_no_drift(watched):
    monitor, notices = watched
    feed(monitor, 4 * WINDOW)
    assert notices == []


def test_higher_scores_are_told_once_with_the_figures(watched, caplog):
    monitor, notices = watched
    feed(monitor, 4 * WINDOW, score=1.1)
    assert told(notices) == ["score"]
    assert notices[0].values["share"] > notices[0].values["reference_share"] + 0.25
    assert caplog.text.count("drift: the scores of OK parts differ from calibration") == 1


def test_a_lamp_that_ages_is_told_as_brightness_and_not_as_score(watched):
    monitor, notices = watched
    feed(monitor, 2 * WINDOW, shade=2)
    assert told(notices) == ["brightness"]
    assert notices[0].values["is_lower"]


@pytest.mark.parametrize(
    ("change", "traits"),
    [
        (lambda picture: picture, []),
        (lambda picture: to_8_bits(picture.astype(np.uint16) << 4, 65535), ["brightness"]),
        (lambda picture: picture.repeat(4, axis=0).repeat(4, axis=1), ["sharpness"]),
        (lambda picture: picture ^ np.uint8(8), ["contrast"]),
    ],
    ids=["the same", "12 bits in 16", "out of focus", "another surface"],
)
def test_first_pictures_unlike_all_good_ones_are_told_at_once_by_one_trait(watched, change, traits):
    monitor, notices = watched
    for seed in range(10):
        monitor.take_picture(change(good_picture(seed)))
    assert told(notices) == traits
    for notice in notices:
        assert "100 % of the first 3 have" in notice.text


def test_a_dark_picture_before_the_lamp_is_on_is_nothing_to_tell(watched):
    monitor, notices = watched
    for shade in (0, 0, 120, 0, 0, 0):
        monitor.take_picture(np.full((64, 64, 3), shade, np.uint8))
    assert "brightness" not in told(notices)


def test_a_new_calibration_starts_anew(watched, calibration):
    monitor, notices = watched
    for _ in range(2):
        feed(monitor, 2 * WINDOW, score=1.1)
        monitor.use(calibration)
    assert told(notices) == ["score", "score"]


def without_pictures(calibration: Calibration) -> Calibration:
    return dataclasses.replace(calibration, good_appearance=np.zeros((0, 3)))


def of_the_first(calibration: Calibration, n: int) -> Calibration:
    """The calibration if it had been of the first parts alone."""
    names = ("good_scores", "good_local", "good_global", "good_names", "good_appearance")
    return dataclasses.replace(calibration, **{k: getattr(calibration, k)[:n] for k in names})


def test_a_calibration_that_knows_no_pictures_watches_scores(calibration):
    notices: list[Notice] = []
    monitor = DriftMonitor(without_pictures(calibration), notices.append)
    feed(monitor, 2 * WINDOW, score=1.1, shade=20)
    assert told(notices) == ["score"]


def test_what_is_not_watched_is_said_with_what_to_do(calibration, caplog):
    few = of_the_first(calibration, 12)
    high = dataclasses.replace(calibration, good_scores=calibration.good_scores + 9)
    notices: list[Notice] = []
    for one in (calibration, few, without_pictures(calibration), high):
        DriftMonitor(one, notices.append).say_unwatched()
    assert [notice.text for notice in notices] == [
        "drift of scores and pictures is not watched: the bundle knows 12 good parts that are OK,"
        " 20 are needed; calibrate it with more good pictures",
        "drift of brightness, contrast and sharpness is not watched: the bundle was calibrated"
        " before looks of pictures were kept; calibrate it again",
        "drift of scores is not watched: the bundle knows 0 good parts that are OK, 20 are needed;"
        " calibrate it with more good pictures",
    ]
    assert {notice.kind for notice in notices} == {NoticeKind.UNWATCHED}
    assert caplog.text.count("is not watched") == 3


def test_few_good_parts_are_no_reference(calibration):
    notices: list[Notice] = []
    feed(DriftMonitor(of_the_first(calibration, 12), notices.append), 2 * WINDOW, score=1.5)
    assert notices == []


def test_false_alarms_are_as_rare_as_stated():
    rng, level = np.random.default_rng(1), 0.02
    n_tests = n_alarms = 0
    for _ in range(300):
        window = DriftWindow(rng.normal(size=60), level=level)
        for _ in range(WINDOW + 4 * STEP):
            n_alarms += window.add(float(rng.normal())) is not None
        n_tests += 5
    assert n_alarms <= 2 * level * n_tests  # the smallest gap that counts makes it rarer still


def alike(rng: np.random.Generator, n: int, likeness: float) -> np.ndarray:
    """n values of mean 0 and spread 1, each like the one before (AR(1))."""
    values = rng.normal(size=n)
    for i in range(1, n):
        values[i] = likeness * values[i - 1] + (1 - likeness**2) ** 0.5 * values[i]
    return values


def is_told(reference: np.ndarray, line: np.ndarray) -> bool:
    window = DriftWindow(reference, level=FALSE_ALARMS * STEP / 4)
    return any(window.add(value) is not None for value in line)


def test_neighbours_that_are_alike_are_no_drift():
    rng = np.random.default_rng(0)
    lines = [is_told(rng.normal(size=100), alike(rng, 12 * WINDOW, 0.9)) for _ in range(20)]
    assert sum(lines) == 0  # 14 of them, if each part counted for one


@pytest.mark.parametrize("likeness", [0.0, 0.9, 0.98])
def test_a_picture_darker_than_all_is_told_however_alike_neighbours_are(likeness: float):
    rng = np.random.default_rng(0)
    assert is_told(rng.normal(size=24), alike(rng, 2 * WINDOW, likeness) - 10)
