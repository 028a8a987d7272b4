"""Parity of outputs: what is within the budgets, what is not, and how that reads."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.config import Normalisation, Rule
from edgeinspect.constants import Calibration, RuleConstants, Threshold, one_hot
from edgeinspect.errors import BundleError
from edgeinspect.parity import (
    FP16_BUDGET,
    FP32_BUDGET,
    Golden,
    ParityReport,
    ScoreUnits,
    compare_images,
    compare_maps,
    compare_outputs,
)

FIELDS = ("score", "local_score", "global_score", "scale", "anomaly_map", "statistics")
SIZE, N_IMAGES, N_MAPS, N_EACH = 16, 3, 4, 2


def make_golden() -> Golden:
    rng = np.random.default_rng(0)
    n_statistics = N_MAPS * N_EACH
    statistics = rng.uniform(1, 2, (N_IMAGES, n_statistics)).astype(np.float32)
    statistics[:, 3] = 4  # map 1 wins by far
    scores = {n: statistics.max(axis=1) for n in ("score", "local_score", "global_score")}
    return Golden(
        images=rng.integers(0, 256, (N_IMAGES, SIZE, SIZE, 3), dtype=np.uint8),
        tile=np.zeros(N_IMAGES, np.int32),
        names=("a.png", "grüße.png", "noise"),
        n_placed=2,
        constants=RuleConstants.neutral(
            n_measures=2, n_scales=2, size=SIZE, n_statistics=n_statistics
        ),
        scale=np.ones(N_IMAGES, np.int32),
        anomaly_map=rng.gamma(2, 1, (N_IMAGES, SIZE, SIZE)).astype(np.float32),
        statistics=statistics,
        **scores,
    )


GOLDEN = make_golden()


def compare(budget: Any = FP32_BUDGET, unit: float = 1.0, **changes: Any) -> Any:
    actual = dataclasses.replace(GOLDEN, **changes)
    units = ScoreUnits(score=unit)
    names = GOLDEN.names
    images = compare_images(
        GOLDEN, actual, GOLDEN.constants, budget, n_placed=2, units=units, names=names
    )
    return ParityReport.of(images, budget)


def test_equal_outputs_are_within_the_budget() -> None:
    report = compare()
    assert report.is_within
    assert (report.score_error, report.map_error, report.map_correlation) == (0, 0, 1)
    assert (report.n_images, report.n_ties, report.n_scale_changes) == (N_IMAGES, 0, 0)


def test_images_whose_maps_all_tie_are_compared_by_their_scores() -> None:
    alike = dataclasses.replace(GOLDEN, statistics=np.ones_like(GOLDEN.statistics))
    others = dataclasses.replace(alike, anomaly_map=-GOLDEN.anomaly_map)
    report = compare_outputs(alike, others, GOLDEN.constants, FP32_BUDGET, n_placed=2)
    assert (report.is_within, report.n_ties) == (True, N_IMAGES)


def test_of_maps_that_tie_the_same_one_counts() -> None:
    alike = dataclasses.replace(GOLDEN, statistics=np.ones_like(GOLDEN.statistics))
    report = compare_outputs(alike, alike, GOLDEN.constants, FP32_BUDGET, n_placed=2)
    assert (report.is_within, report.n_ties) == (True, 0)


@pytest.mark.parametrize("name", ["score", "local_score", "global_score"])
def test_each_score_counts(name: str) -> None:
    report = compare(**{name: getattr(GOLDEN, name) + np.float32(2e-4)})
    assert report.problems == ("scores differ by 0.0002 of 0.0001 (a.png, grüße.png, noise)",)


def test_a_score_counts_in_units_of_the_distance_to_the_threshold() -> None:
    shifted = GOLDEN.score + np.float32(2e-4)
    assert compare(score=shifted, unit=10).is_within
    assert not compare(score=shifted, unit=0.1).is_within


@pytest.mark.parametrize(("error", "is_within"), [(3e-4, True), (0.01, False)])
def test_a_score_far_beyond_the_threshold_counts_by_its_own_size(
    error: float, is_within: bool
) -> None:
    far = dataclasses.replace(GOLDEN, score=GOLDEN.score + 500)  # noise, in whitened features
    moved = dataclasses.replace(far, score=far.score + np.float32(error))
    report = compare_outputs(far, moved, GOLDEN.constants, FP32_BUDGET, n_placed=2)
    assert report.is_within == is_within


def test_a_score_near_the_threshold_does_not_count_by_its_size() -> None:
    near = dataclasses.replace(GOLDEN, score=GOLDEN.score * 2)  # 8 units
    moved = dataclasses.replace(near, score=near.score + np.float32(1.2e-4))
    assert not compare_outputs(near, moved, GOLDEN.constants, FP32_BUDGET, n_placed=2).is_within


@given(factor=st.floats(0, 5))
def test_a_map_counts_by_its_own_high_percentile(factor: float) -> None:
    peak = np.percentile(GOLDEN.anomaly_map[1].astype(np.float64), 99.9)
    other = GOLDEN.anomaly_map.astype(np.float64)
    other[1, 2, 3] += factor * 1e-3 * peak
    report = compare_maps(GOLDEN.anomaly_map, other, FP32_BUDGET)
    assert report.map_error == pytest.approx(factor * 1e-3, abs=1e-9)
    assert report.is_within == (report.map_error <= 1e-3)


def test_half_precision_is_held_to_the_correlation_of_maps() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, GOLDEN.anomaly_map.shape).astype(np.float32)
    assert compare(FP16_BUDGET, anomaly_map=GOLDEN.anomaly_map + noise * 0.01).is_within
    report = compare(FP16_BUDGET, anomaly_map=GOLDEN.anomaly_map + noise)
    assert "maps correlate by" in report.problems[0]


def test_the_worst_images_are_named_first_and_the_rest_counted() -> None:
    error = np.array([0.2, 0.4, 0.3], np.float32)
    twice = {n: np.concatenate([getattr(GOLDEN, n)] * 2) for n in FIELDS}
    golden = dataclasses.replace(GOLDEN, names=tuple("abcdef"), **twice)
    actual = dataclasses.replace(golden, score=golden.score + np.append(error, [0, 0, 0.1]))
    report = compare_outputs(
        golden, actual, golden.constants, FP32_BUDGET, n_placed=2, names=golden.names
    )
    assert report.problems == ("scores differ by 0.4 of 0.0001 (b, c, a, 1 more)",)


def test_the_unit_of_a_score_is_what_separates_good_parts_from_the_threshold() -> None:
    good = np.linspace(0, 1, 101)
    threshold = Threshold(
        value=3.0,
        false_reject_rate=0.1,
        interval=(2, 4),
        rate_interval=(0, 0.2),
        method="empirical",
        n_good=101,
    )
    calibration = Calibration(
        constants=GOLDEN.constants,
        threshold=threshold,
        rule=Rule.PEAK,
        normalisation=Normalisation.NONE,
        measures=("l1",),
        good_scores=good,
        good_local=good,
        good_global=10 * good,
        good_names=tuple(map(str, range(101))),
    )
    units = ScoreUnits.of(calibration)
    assert units.score == pytest.approx(2.5)
    assert units.local_score == pytest.approx(0.4)
    assert units.global_score == pytest.approx(4.0)


def test_another_scale_is_a_problem() -> None:
    report = compare(scale=np.array([1, 0, 1], np.int32))
    assert report.problems == ("1 of 3 images change their scale (grüße.png)",)


def test_scale_and_map_are_not_compared_where_two_maps_are_equally_good() -> None:
    statistics = GOLDEN.statistics.copy()
    statistics[1, 6] = statistics[1, 3]
    tied = dataclasses.replace(GOLDEN, statistics=statistics)
    scale, maps = GOLDEN.scale.copy(), GOLDEN.anomaly_map.copy()
    scale[1], maps[1] = 0, 0
    actual = dataclasses.replace(tied, scale=scale, anomaly_map=maps)
    report = compare_outputs(tied, actual, GOLDEN.constants, FP32_BUDGET, n_placed=2)
    assert report.is_within
    assert report.n_ties == 1


def compare_tied_under_paper(score: float) -> Any:
    """The means of both scales are equal, and the other's map and score were taken."""
    constants = dataclasses.replace(GOLDEN.constants, rule=one_hot(Rule.PAPER))
    tied = dataclasses.replace(GOLDEN, statistics=np.ones_like(GOLDEN.statistics))
    actual = dataclasses.replace(
        tied,
        scale=1 - GOLDEN.scale,
        anomaly_map=-GOLDEN.anomaly_map,
        score=np.full_like(GOLDEN.score, score),
    )
    return compare_outputs(tied, actual, constants, FP32_BUDGET, n_placed=2)


def test_under_paper_the_score_is_not_compared_where_two_maps_are_equally_good() -> None:
    report = compare_tied_under_paper(score=99)
    assert (report.is_within, report.n_ties) == (True, N_IMAGES)


def test_a_score_that_is_not_finite_counts_in_a_tie_as_well() -> None:
    assert not compare_tied_under_paper(score=np.nan).is_within


def test_what_is_not_picked_from_makes_no_tie() -> None:
    statistics = GOLDEN.statistics.copy()
    statistics[:, 4:] = 9  # of the second measure, whose maps say nowhere
    expected = dataclasses.replace(GOLDEN, statistics=statistics)
    actual = dataclasses.replace(expected, anomaly_map=GOLDEN.anomaly_map[::-1])

    def n_ties(n_placed: int) -> int:
        report = compare_outputs(expected, actual, GOLDEN.constants, FP32_BUDGET, n_placed=n_placed)
        return report.n_ties

    assert (n_ties(1), n_ties(2)) == (0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["global_score", "anomaly_map"])
def test_what_is_not_finite_is_beyond_every_budget(name: str, bad: float) -> None:
    array = getattr(GOLDEN, name).copy()
    array[(1,) * array.ndim] = bad
    assert not compare(FP16_BUDGET, **{name: array}).is_within


def test_empty_maps_are_compared_by_a_floor() -> None:
    empty = np.zeros((1, SIZE, SIZE), np.float32)
    assert compare_maps(empty, empty + np.float32(1e-7), FP32_BUDGET).is_within
    assert not compare_maps(empty, empty + np.float32(1e-3), FP32_BUDGET).is_within


def test_golden_outputs_survive_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    GOLDEN.save(path)
    again = Golden.load(path)
    assert again.names == GOLDEN.names
    assert again.images.dtype == np.uint8
    assert np.array_equal(again.anomaly_map, GOLDEN.anomaly_map)
    assert np.array_equal(again.constants.map_inv_std, GOLDEN.constants.map_inv_std)


def test_no_clock_and_no_word_of_numpys_gets_into_golden_outputs(tmp_path: Path) -> None:
    GOLDEN.save(tmp_path / "golden.npz")
    with zipfile.ZipFile(tmp_path / "golden.npz") as file:
        entries = {entry.filename: entry.date_time for entry in file.infolist()}
    constants = {f"constants.{name}.npy" for name in GOLDEN.constants.as_inputs()}
    fields = {f"{name}.npy" for name in (*FIELDS, "images", "tile", "names", "n_placed")}
    assert set(entries) == fields | constants
    assert set(entries.values()) == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("content", [b"", b"no zip file", b"PK\x03\x04 half of one"])
def test_damaged_golden_outputs_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="cannot be read as golden outputs"):
        Golden.load(path)


def test_golden_outputs_that_lack_an_array_are_named(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    np.savez(path, images=GOLDEN.images, names=np.array(GOLDEN.names))
    with pytest.raises(BundleError, match="cannot be read"):
        Golden.load(path)
