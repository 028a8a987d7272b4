"""Metrics equal scikit-learn's; intervals hold what they say."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from edgeinspect import metrics

TOLERANCE = 1e-12  # sums of a few dozen float64 terms, in another order

# Few distinct values, so that ties between and within the classes are common.
SCORED = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({defect for _, defect in pairs}) == 2
)


def split(pairs: list[tuple[int, bool]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return np.array([s / 4 for s, _ in pairs]), np.array([d for _, d in pairs])


@given(SCORED)
def test_auroc_equals_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    scores, defect = split(pairs)
    expected = reference.roc_auc_score(defect, scores)
    assert metrics.auroc(scores, defect) == pytest.approx(expected, abs=TOLERANCE)


@given(SCORED)
def test_average_precision_equals_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    scores, defect = split(pairs)
    expected = reference.average_precision_score(defect, scores)
    assert metrics.average_precision(scores, defect) == pytest.approx(expected, abs=TOLERANCE)


@given(SCORED)
def test_f1_max_is_the_best_f1_of_scikit_learn_over_all_cuts(
    pairs: list[tuple[int, bool]],
) -> None:
    scores, defect = split(pairs)
    expected = max(reference.f1_score(defect, scores >= cut) for cut in np.unique(scores))
    assert metrics.f1_max(scores, defect) == pytest.approx(expected, abs=TOLERANCE)


@given(SCORED, st.integers(-5, 5))
def test_decision_metrics_equal_those_of_scikit_learn(
    pairs: list[tuple[int, bool]], cut: int
) -> None:
    scores, defect = split(pairs)
    got = metrics.decision_metrics(scores, defect, cut / 4)
    rejected = scores > cut / 4
    assert got.f1 == pytest.approx(reference.f1_score(defect, rejected, zero_division=0.0))
    assert got.recall == pytest.approx(reference.recall_score(defect, rejected))
    assert got.false_reject_rate == pytest.approx(rejected[~defect].mean())
    if rejected.any():
        assert got.precision == pytest.approx(reference.precision_score(defect, rejected))
    else:
        assert got.precision is None


@given(SCORED)
def test_the_area_under_the_roc_curve_is_the_auroc(pairs: list[tuple[int, bool]]) -> None:
    fpr, tpr = metrics.roc_curve(*split(pairs))
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert metrics.auroc(*split(pairs)) == pytest.approx(reference.auc(fpr, tpr), abs=TOLERANCE)


@pytest.mark.parametrize("defect", [True, False])
def test_ranking_metrics_of_one_class_are_none(defect: bool) -> None:
    labels = [defect] * 3
    assert metrics.auroc([1, 2, 3], labels) is None
    assert metrics.average_precision([1, 2, 3], labels) is None
    assert metrics.f1_max([1, 2, 3], labels) is None
    with pytest.raises(ValueError, match="needs good parts and defects"):
        metrics.roc_curve([1, 2, 3], labels)


def test_decision_metrics_without_defects_know_only_the_false_reject_rate() -> None:
    got = metrics.decision_metrics([0, 1, 2, 3], [False] * 4, 2.5)
    assert (got.f1, got.recall, got.precision, got.false_reject_rate) == (None, None, 0.0, 0.25)


def test_a_score_at_the_threshold_is_ok() -> None:
    assert metrics.decision_metrics([1.0], [False], 1.0).false_reject_rate == 0


@pytest.mark.parametrize("scores", [[], [1.0], [1.0, np.nan], [[1.0, 2.0]]])
def test_scores_that_cannot_be_ranked_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match=r"scores|finite"):
        metrics.auroc(scores, [True, False])


@given(SCORED, st.data())
def test_a_weight_counts_like_that_many_copies(
    pairs: list[tuple[int, bool]], data: st.DataObject
) -> None:
    scores, defect = split(pairs)
    weights = np.array(
        data.draw(st.lists(st.integers(1, 3), min_size=len(pairs), max_size=len(pairs)))
    )
    weighted = metrics.rank(scores, defect, weights)
    copied = metrics.rank(np.repeat(scores, weights), np.repeat(defect, weights))
    np.testing.assert_array_equal(weighted.true_positives, copied.true_positives)
    np.testing.assert_array_equal(weighted.false_positives, copied.false_positives)


def naive_auroc_interval(
    good: NDArray[np.float64], found: NDArray[np.float64]
) -> tuple[float, float]:
    """The wider of Newcombe's and DeLong's, by all pairs and a root finder."""
    above = (found[:, None] > good) + 0.5 * (found[:, None] == good)
    area, (m, n) = float(above.mean()), above.shape

    def excess(end: float) -> float:
        q = ((m + n) / 2 - 1) * ((1 - end) / (2 - end) + end / (1 + end))
        return (area - end) ** 2 - stats.norm.ppf(0.975) ** 2 * end * (1 - end) * (1 + q) / (m * n)

    low = brentq(excess, 0, min(area, 1 - 1e-9)) if area > 0 else 0.0
    high = brentq(excess, max(area, 1e-9), 1) if area < 1 else 1.0
    if 0 < area < 1:
        error = (above.mean(1).var(ddof=1) / m + above.mean(0).var(ddof=1) / n) ** 0.5
        wide = stats.norm.ppf(0.975) * error / (area * (1 - area))
        ends = 1 / (1 + np.exp(-(np.log(area / (1 - area)) + np.array([-wide, wide]))))
        low, high = min(low, ends[0]), max(high, ends[1])
    return low, high


@given(SCORED.filter(lambda pairs: 2 <= sum(d for _, d in pairs) <= len(pairs) - 2))
def test_an_auroc_interval_is_the_wider_of_two(pairs: list[tuple[int, bool]]) -> None:
    scores, defect = split(pairs)
    expected = naive_auroc_interval(scores[~defect], scores[defect])
    assert metrics.auroc_interval(scores, defect) == pytest.approx(expected, abs=1e-6)


def test_a_perfect_ranking_of_few_is_less_sure_than_one_of_many() -> None:
    few, many = (metrics.auroc_interval(np.arange(2 * n), np.arange(2 * n) >= n) for n in (5, 500))
    assert few == (pytest.approx(0.64, abs=0.01), 1)
    assert many == (pytest.approx(0.996, abs=0.001), 1)


@pytest.mark.parametrize("spread", [1.0, 2.5], ids=["alike", "defects vary more"])
def test_auroc_intervals_of_few_defects_hold_the_true_one_19_times_in_20(spread: float) -> None:
    rng, labels = np.random.default_rng(0), np.repeat([False, True], [40, 10])
    true = NormalDist().cdf(2 / (1 + spread**2) ** 0.5)
    n_held = 0
    for _ in range(300):
        scores = rng.normal(size=50) * np.where(labels, spread, 1) + 2 * labels
        low, high = metrics.auroc_interval(scores, labels) or (1, 0)
        n_held += low <= true <= high
    assert n_held >= 276  # 285 are expected, chance makes it less once in 100; resampling: 255


def test_bootstrap_intervals_hold_the_estimate_and_narrow_with_more_data() -> None:
    widths = []
    for n in (30, 480):
        rng = np.random.default_rng(0)
        scores = np.concatenate([rng.normal(0, 1, n), rng.normal(1, 1, n)])
        defect = np.repeat([False, True], n)
        interval = metrics.bootstrap_intervals(scores, defect, rng=rng)["average_precision"]
        low, high = interval or (0, 0)
        assert low < (metrics.average_precision(scores, defect) or 0) < high
        widths.append(high - low)
    assert widths[0] > 2 * widths[1]


def test_the_bootstrap_keeps_the_size_of_every_class() -> None:
    scores = [0.0] * 4 + [1.0] * 2 + [-1.0] * 6  # class b is never found, class a always
    strata = ["good"] * 4 + ["a"] * 2 + ["b"] * 6
    defect = [name != "good" for name in strata]
    by_class, pooled = (
        metrics.bootstrap_intervals(
            scores, defect, strata=given, threshold=0.5, rng=np.random.default_rng(1)
        )["f1_at_threshold"]
        for given in (strata, None)
    )
    assert by_class is None  # always 2 of 8
    assert pooled is not None


def test_resamples_of_a_perfect_ranking_say_nothing() -> None:
    got = metrics.bootstrap_intervals(
        [0, 0, 1, 2], [False, False, True, True], threshold=0.5, rng=np.random.default_rng(0)
    )
    assert got == {"average_precision": None, "f1_max": None, "f1_at_threshold": None}


def test_the_same_seed_gives_the_same_intervals() -> None:
    first, second = (
        metrics.bootstrap_intervals(
            np.arange(20.0) % 7, np.arange(20) % 3 == 0, rng=np.random.default_rng(5), threshold=3
        )
        for _ in range(2)
    )
    assert first == second
    assert None not in first.values()


def test_intervals_of_one_class_are_none() -> None:
    rng = np.random.default_rng(0)
    got = metrics.bootstrap_intervals([0, 1, 2, 3], [False] * 4, threshold=1.5, rng=rng)
    assert set(got.values()) == {None}
    assert metrics.auroc_interval([0, 1], [False] * 2) is None
