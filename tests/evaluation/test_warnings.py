"""What is warned of and what is not: figures near to trivial ones, pictures that are not alike."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from edgeinspect.constants import Threshold
from edgeinspect.data.appearance import Appearance
from edgeinspect.evaluation.baselines import Baseline
from edgeinspect.evaluation.figures import Figure, ImageMetrics, PixelMetrics
from edgeinspect.evaluation.results import (
    BaselineResult,
    EvaluationWarning,
    Summary,
    WarningKind,
)
from edgeinspect.evaluation.warnings import (
    about_figures,
    about_labels,
    about_leaks,
    about_pictures,
    about_training,
)

THRESHOLD = Threshold(
    value=2.0,
    false_reject_rate=0.05,
    interval=(1.0, 3.0),
    rate_interval=(0.02, 0.1),
    method="empirical",
    n_good=20,
)


def image(
    auroc: float | None,
    ci95: tuple[float, float] | None = None,
    false_rejects: Figure | None = None,
) -> ImageMetrics:
    return ImageMetrics(
        auroc=Figure(value=auroc, ci95=ci95),
        average_precision=Figure(),
        f1_max=Figure(),
        false_reject_rate=false_rejects,
    )


def summary(
    score: ImageMetrics,
    *,
    equalised: float | None = None,
    baselines: dict[Baseline, tuple[float, str]] | None = None,
    half_width: float = 0.01,
) -> Summary:
    return Summary(
        image=score,
        local=score,
        global_=score,
        equalised=None if equalised is None else image(equalised),
        pixel=PixelMetrics(auroc=None, aupro=None, n_pictures=0, n_regions=0),
        classes={},
        baselines={
            baseline: BaselineResult(
                image=image(auroc, (auroc - half_width, auroc + half_width)), direction=direction
            )
            for baseline, (auroc, direction) in (baselines or {}).items()
        },
    )


def figures(score: ImageMetrics, **options: object) -> list[EvaluationWarning]:
    return list(about_figures(summary(score, **options), THRESHOLD))  # type: ignore[arg-type]


def kinds(warnings: Iterable[EvaluationWarning]) -> list[WarningKind]:
    return [warning.kind for warning in warnings]


@pytest.mark.parametrize("baseline", [Baseline.MEAN, Baseline.CONTRAST])
@pytest.mark.parametrize("alone", [0.81, 0.9, 0.99])
def test_brightness_or_contrast_within_the_interval_or_above_is_a_shortcut(
    baseline: Baseline, alone: float
) -> None:
    score = image(0.9, (0.8, 0.95))
    (warning,) = figures(score, equalised=0.85, baselines={baseline: (alone, "-")})
    assert warning.kind is WarningKind.SHORTCUT
    assert f"{baseline.words} alone (lower for defects) has an AUROC of {alone:.3f}" in str(warning)
    assert "the score 0.900 (0.800 to 0.950)" in str(warning)
    assert "read the 0.850 after equal mean and spread" in str(warning)


def test_brightness_below_the_interval_is_no_shortcut() -> None:
    assert figures(image(0.9, (0.8, 0.95)), baselines={Baseline.MEAN: (0.79, "+")}) == []


def test_a_score_that_chance_reaches_is_told_and_brightness_at_chance_is_no_shortcut() -> None:
    score, baselines = image(0.55, (0.48, 0.62)), {Baseline.MEAN: (0.53, "-")}
    (warning,) = figures(score, baselines=baselines, half_width=0.07)
    assert warning.kind is WarningKind.CHANCE
    assert "an AUROC of 0.550 (0.480 to 0.620), which chance reaches too" in str(warning)


def test_brightness_that_separates_is_a_shortcut_beside_a_score_at_chance_too() -> None:
    warnings = figures(image(0.55, (0.48, 0.62)), baselines={Baseline.MEAN: (0.99, "+")})
    assert kinds(warnings) == [WarningKind.CHANCE, WarningKind.SHORTCUT]


@pytest.mark.parametrize(
    ("baseline", "kind"),
    [
        (Baseline.FILL, WarningKind.SMOOTH_FILL),
        (Baseline.PCA, WarningKind.BASELINE),
        (Baseline.NEAREST, WarningKind.BASELINE),
    ],
)
def test_a_score_without_training_that_ranks_as_well_is_told(
    baseline: Baseline, kind: WarningKind
) -> None:
    score = image(0.9, (0.8, 0.95))
    assert kinds(figures(score, baselines={baseline: (0.9, "+")})) == [kind]
    assert figures(score, baselines={baseline: (0.89, "+")}) == []


def test_a_score_that_falls_after_equal_mean_and_spread_is_told() -> None:
    (warning,) = figures(image(0.9), equalised=0.7)
    assert warning.kind is WarningKind.EQUALISED
    assert "falls from 0.900 to 0.700" in str(warning)
    assert figures(image(0.9), equalised=0.81) == []


@pytest.mark.parametrize(
    ("got", "interval", "is_told"),
    [
        (0.4, (0.25, 0.55), True),
        (0.12, (0.06, 0.2), False),  # the threshold itself may be that far off
        (0.01, (0.001, 0.019), True),
        (0.0, (0.0, 0.3), False),  # no reject among few parts proves nothing
    ],
)
def test_false_rejects_are_told_only_beyond_both_intervals(
    got: float, interval: tuple[float, float], is_told: bool
) -> None:
    warnings = figures(image(0.9, false_rejects=Figure(value=got, ci95=interval)))
    assert kinds(warnings) == [WarningKind.FALSE_REJECTS] * is_told


def test_false_rejects_are_told_with_what_was_promised() -> None:
    (warning,) = figures(image(0.9, false_rejects=Figure(value=0.4, ci95=(0.25, 0.55))))
    assert "40 % (25 to 55 %) of the good test parts are NG" in str(warning)
    assert "promised 5 % (2 to 10 %)" in str(warning)


def test_one_class_alone_cannot_be_ranked() -> None:
    (warning,) = figures(image(None), baselines={Baseline.MEAN: (0.9, "+")})
    assert warning.kind is WarningKind.ONE_CLASS


def looks(seed: int, n: int, *, mean: float = 120) -> list[Appearance]:
    values = np.random.default_rng(seed).normal((mean, 30, 5), (4, 2, 0.4), (n, 3)).tolist()
    return [Appearance(mean=m, spread=s, gradient=g) for m, s, g in values]


def test_two_lots_among_the_good_pictures_are_told_by_name() -> None:
    good = looks(5, 60) + looks(6, 40, mean=160)
    names = [f"{i:03d}.png" for i in range(100)]
    (warning,) = about_pictures([], good, names)
    assert warning.kind is WarningKind.POPULATIONS
    assert "60 below" in str(warning)
    assert "40 above (such as 0" in str(warning)


def test_good_test_pictures_that_are_darker_are_told_with_both_shares() -> None:
    (warning,) = about_pictures(looks(5, 41, mean=100), looks(6, 200), [""] * 200)
    assert warning.kind is WarningKind.TEST_GOOD_DIFFER
    assert "of the 41 good test pictures 100 % have a mean intensity below 1" in str(warning)
    assert "of the 200 good ones given 0" in str(warning)


def test_pictures_of_one_kind_give_no_warning() -> None:
    assert list(about_pictures(looks(5, 41), looks(6, 200), [""] * 200)) == []
    assert list(about_pictures([], [], [])) == []


@pytest.mark.parametrize(("error", "is_told"), [(0.031, True), (0.03, True), (0.029, False)])
def test_a_generator_that_does_not_beat_the_fill_is_told(error: float, is_told: bool) -> None:
    provenance = {"training": {"best_error": error, "fill_error": 0.03}}
    assert kinds(about_training(provenance)) == [WarningKind.NOT_LEARNT] * is_told


@pytest.mark.parametrize("error", [0.0299999, 0.03, 0.5])
def test_a_generator_that_is_that_of_the_start_is_told(error: float) -> None:
    training = {"best_step": 0, "best_error": error, "fill_error": 0.03}
    (warning,) = about_training({"training": training, "n_holdout": 3})
    assert warning.kind is WarningKind.NOT_LEARNT
    assert "error on held-out good pictures smaller than it was at the start" in str(warning)


@pytest.mark.parametrize("provenance", [{}, {"training": {"best_error": None}}])
def test_a_bundle_that_does_not_say_gives_no_warning(provenance: dict[str, object]) -> None:
    assert list(about_training(provenance)) == []


def test_a_picture_of_two_labels_is_told_with_both_its_names() -> None:
    good, defects = {"a": "test/good/1.png", "b": "test/good/2.png"}, {"b": "test/pit/7.png"}
    (warning,) = about_labels(good, defects, unlabelled=[], unread=[])
    assert warning.kind is WarningKind.TWO_LABELS
    assert "test pictures that lie among the good ones and among the defects: 1 (" in str(warning)
    assert "(test/pit/7.png is test/good/2.png)" in str(warning)
    assert list(about_labels(good, {"c": "test/pit/8.png"}, unlabelled=[], unread=[])) == []


def test_test_pictures_that_are_not_read_are_counted() -> None:
    unread = ["test/pit/7.webp", "test/pit/8.webp"]
    (warning,) = about_labels({}, {}, unlabelled=[], unread=unread)
    assert warning.kind is WarningKind.UNREAD
    assert "which were not evaluated: 2 (test/pit/7.webp is one): save PNG" in str(warning)


def test_test_pictures_that_were_seen_before_are_counted() -> None:
    warnings = list(about_leaks(["a", "b", "c"], trained=["a", "b"], compared=["c", "d"]))
    assert kinds(warnings) == [WarningKind.TRAINED_ON, WarningKind.COMPARED_WITH]
    assert "test pictures that trained the model: 2 of 3, so" in str(warnings[0])
    assert "among the good ones given as well: 1 of 3, so" in str(warnings[1])
