"""Metrics equal scikit-learn's, and AUPRO a naive implementation of its definition."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeinspect import metrics

TOLERANCE = 1e-12  # sums of a few dozen float64 terms, in another order
PIXEL_SHAPE = (9, 11)

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


def test_bootstrap_intervals_hold_the_estimate_and_narrow_with_more_data() -> None:
    widths = []
    for n in (30, 480):
        rng = np.random.default_rng(0)
        scores = np.concatenate([rng.normal(0, 1, n), rng.normal(1, 1, n)])
        defect = np.repeat([False, True], n)
        low, high = metrics.bootstrap_intervals(scores, defect, rng=rng)["auroc"] or (0, 0)
        assert low < (metrics.auroc(scores, defect) or 0) < high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.3)  # 1 / sqrt(n)


def test_the_bootstrap_keeps_the_size_of_every_class() -> None:
    scores = [0.0] * 4 + [1.0] * 2 + [-1.0] * 6  # class b is never found, class a always
    strata = ["good"] * 4 + ["a"] * 2 + ["b"] * 6
    defect = [name != "good" for name in strata]
    rng = np.random.default_rng(1)
    got = metrics.bootstrap_intervals(scores, defect, strata=strata, threshold=0.5, rng=rng)
    assert got["recall_at_threshold"] == (0.25, 0.25)


def test_the_same_seed_gives_the_same_intervals() -> None:
    first, second = (
        metrics.bootstrap_intervals(
            np.arange(20.0) % 7, np.arange(20) % 3 == 0, rng=np.random.default_rng(5), threshold=3
        )
        for _ in range(2)
    )
    assert first == second
    assert set(first) == {
        "auroc",
        "average_precision",
        "f1_max",
        "f1_at_threshold",
        "precision_at_threshold",
        "recall_at_threshold",
        "false_reject_rate",
    }


def test_intervals_of_one_class_are_none_where_the_metric_is() -> None:
    rng = np.random.default_rng(0)
    got = metrics.bootstrap_intervals([0, 1, 2, 3], [False] * 4, threshold=1.5, rng=rng)
    assert got["auroc"] is None
    assert got["recall_at_threshold"] is None
    assert got["false_reject_rate"] is not None


# --- pixels ---------------------------------------------------------------------------------


def naive_aupro(
    maps: list[NDArray[np.float64]], masks: list[NDArray[np.bool_]], limit: float
) -> float:
    """AUPRO by its definition: a loop over thresholds and regions, then a fine numeric integral."""
    regions = []
    for values, mask in zip(maps, masks, strict=True):
        n, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        regions += [values[labels == k] for k in range(1, n)]
    good = np.concatenate([v[~m] for v, m in zip(maps, masks, strict=True)])
    points = [(0.0, 0.0)]
    for cut in sorted({*np.concatenate([m.ravel() for m in maps])}, reverse=True):
        overlaps = [float(np.mean(region >= cut)) for region in regions]
        points.append((float(np.mean(good >= cut)), float(np.mean(overlaps))))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        end = min(x1, limit)
        if x1 > x0 and end > x0:
            y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + y_end) / 2
    return area / limit


def pixel_case(seed: int) -> tuple[list[NDArray[np.float64]], list[NDArray[np.bool_]]]:
    """Three maps with ties and negative values, and blobs as masks; the last part is good."""
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for index in range(3):
        mask = np.zeros(PIXEL_SHAPE, dtype=bool)
        if index < 2:
            mask[1:4, 2:5] = mask[6:8, 7:10] = True
        noise = rng.integers(-8, 9, PIXEL_SHAPE) / 4  # exact in the tally's 11 bits
        maps.append(noise + mask * rng.integers(0, 3) / 2)
        masks.append(mask)
    return maps, masks


def tally(maps: list[NDArray[np.float64]], masks: list[NDArray[np.bool_]]) -> metrics.PixelTally:
    parts = (metrics.PixelTally.of(v, m) for v, m in zip(maps, masks, strict=True))
    return sum(parts, start=metrics.PixelTally.empty())


@given(st.integers(0, 10_000))
def test_pixel_auroc_equals_that_of_scikit_learn(seed: int) -> None:
    maps, masks = pixel_case(seed)
    expected = reference.roc_auc_score(np.ravel(masks), np.ravel(maps))
    assert tally(maps, masks).auroc() == pytest.approx(expected, abs=TOLERANCE)


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_equals_its_definition(seed: int, limit: float) -> None:
    maps, masks = pixel_case(seed)
    expected = naive_aupro(maps, masks, limit)
    assert tally(maps, masks).aupro(limit) == pytest.approx(expected, abs=TOLERANCE)


def test_a_perfect_map_has_an_aupro_of_one_and_a_constant_one_that_of_chance() -> None:
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:4, 2:4] = True
    perfect, constant = (metrics.PixelTally.of(m, mask) for m in (mask * 5.0, mask * 0.0))
    assert perfect.aupro() == pytest.approx(1)
    assert perfect.auroc() == pytest.approx(1)
    assert constant.aupro() == pytest.approx(0.15)
    assert constant.auroc() == pytest.approx(0.5)


def test_small_and_large_regions_count_alike_in_aupro() -> None:
    mask = np.zeros((10, 20), dtype=bool)
    mask[0:8, 0:8] = mask[9, 19] = True
    found = np.zeros(mask.shape)
    found[9, 19] = 1.0  # only the one-pixel region
    got = metrics.PixelTally.of(found, mask).aupro(fpr_limit=1e-9)
    assert got == pytest.approx(0.5, abs=1e-6)


def test_continuous_maps_lose_next_to_nothing_to_the_tally() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 3, (64, 64))
    mask = rng.random((64, 64)) < 0.2
    values += mask
    expected = reference.roc_auc_score(mask.ravel(), values.ravel())
    assert metrics.PixelTally.of(values, mask).auroc() == pytest.approx(expected, abs=1e-4)


def test_minus_zero_and_zero_are_one_value() -> None:
    got = metrics.PixelTally.of(np.array([[0.0, -0.0]]), np.array([[True, False]]))
    assert got.auroc() == 0.5


def test_pixel_metrics_without_a_region_are_none() -> None:
    good = metrics.PixelTally.of(np.ones((4, 4)), np.zeros((4, 4), dtype=bool))
    assert (good.auroc(), good.aupro()) == (None, None)
    assert metrics.PixelTally.empty().auroc() is None


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.full((2, 2), np.nan)])
def test_maps_that_cannot_be_counted_are_refused(values: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match=r"map"):
        metrics.PixelTally.of(values, np.zeros((2, 2), dtype=bool))
