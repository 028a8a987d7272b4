"""Thresholds: what n good parts support, the promise they keep, and how sure it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgeinspect.calibration.thresholds import (
    N_TAIL,
    check_rate,
    fit_tail,
    fit_threshold,
    n_good_needed,
    smallest_supported_rate,
)
from edgeinspect.constants import Threshold
from edgeinspect.errors import CalibrationError


def make_threshold(scores: np.ndarray, rate: float) -> Threshold:
    return fit_threshold(scores, rate, np.random.default_rng(0))


def normal_scores(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize(
    ("n", "rate"), [(10, 1 / 11), (59, 1 / 60), (60, 1 / 240), (400, 1 / 1600)]
)
def test_the_smallest_rate_is_one_in_n_plus_1_and_a_quarter_of_it_with_a_tail(
    n: int, rate: float
) -> None:
    assert smallest_supported_rate(n) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("rate", "n"), [(0.01, 60), (0.05, 19), (0.001, 250), (0.5, 1), (0.02, 49)]
)
def test_the_pictures_needed_for_a_rate(rate: float, n: int) -> None:
    assert n_good_needed(rate) == n


@given(n=st.integers(1, 2000))
def test_the_smallest_rate_that_n_supports_is_accepted_and_less_is_not(n: int) -> None:
    rate = min(0.5, smallest_supported_rate(n))
    check_rate(n, rate)
    with pytest.raises(CalibrationError):
        check_rate(n, rate * 0.999 if n > 1 else 0.499)


@given(rate=st.floats(1e-4, 0.5))
def test_one_picture_less_than_needed_is_refused(rate: float) -> None:
    n = n_good_needed(rate)
    check_rate(n, rate)
    if n > 1:
        with pytest.raises(CalibrationError):
            check_rate(n - 1, rate)


def test_refusal_names_the_number_the_smallest_rate_and_the_number_needed() -> None:
    with pytest.raises(CalibrationError) as refused:
        make_threshold(normal_scores(30), 0.01)
    assert str(refused.value) == (
        "30 good pictures cannot support a false-reject rate of 0.01: the smallest they support"
        " is 0.0323; give at least 60 good pictures, or --false-reject-rate 0.033"
    )


@given(n=st.integers(10, 500))
def test_the_rate_that_a_refusal_offers_is_accepted(n: int) -> None:
    with pytest.raises(CalibrationError) as refused:
        check_rate(n, 1e-6)
    assert refused.value.hint is not None
    check_rate(n, float(refused.value.hint.split()[-1]))


@pytest.mark.parametrize("rate", [0.0, -0.1, 0.6, 1.0, math.nan])
def test_what_is_no_rate_is_refused(rate: float) -> None:
    with pytest.raises(CalibrationError, match="must lie above 0"):
        make_threshold(normal_scores(100), rate)


@given(n=st.integers(19, 300), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_an_empirical_threshold_is_the_conformal_order_statistic(n: int, seed: int) -> None:
    scores = normal_scores(n, seed)
    threshold = make_threshold(scores, 0.05)
    assert threshold.method == "empirical"
    assert (scores <= threshold.value).sum() == math.ceil((n + 1) * 0.95 - 1e-9)


@given(n=st.integers(10, 300), rate=st.floats(0.02, 0.5), seed=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_a_smaller_rate_never_gives_a_lower_threshold(n: int, rate: float, seed: int) -> None:
    scores = normal_scores(n, seed)
    lower = max(rate / 2, 1 / (n + 1))
    if rate >= lower:
        strict = make_threshold(scores, lower)
        assert strict.value >= make_threshold(scores, rate).value


@pytest.mark.parametrize(("n", "rate"), [(99, 0.01), (100, 0.05), (60, 0.01), (120, 0.0025)])
def test_intervals_hold_the_threshold_and_the_rate(n: int, rate: float) -> None:
    threshold = make_threshold(normal_scores(n), rate)
    assert threshold.interval[0] <= threshold.value < threshold.interval[1]
    assert threshold.rate_interval[0] < rate < threshold.rate_interval[1]


def test_the_rate_interval_of_an_empirical_threshold_is_that_of_its_order_statistic() -> None:
    threshold = make_threshold(normal_scores(199), 0.05)
    expected = stats.beta.ppf([0.025, 0.975], 10, 190)
    assert threshold.rate_interval == pytest.approx(tuple(expected))


def test_the_interval_of_an_empirical_threshold_lies_between_binomial_order_statistics() -> None:
    scores = np.arange(1.0, 401)
    low, high = make_threshold(scores, 0.05).interval
    assert stats.binom.cdf(int(low) - 1, 400, 0.95) <= 0.025
    assert stats.binom.cdf(int(high) - 1, 400, 0.95) >= 0.975


def test_the_largest_score_is_no_upper_end_of_its_own_interval() -> None:
    scores = normal_scores(99)
    threshold = make_threshold(scores, 0.01)
    assert threshold.value == scores.max()
    assert threshold.interval[1] > scores.max()


FEW_SAMPLES = 0.4  # the mean rate of 200 samples is known to about a tenth of itself


@pytest.mark.parametrize("law", [stats.expon(), stats.gumbel_r()], ids=["exponential", "gumbel"])
def test_a_tail_threshold_keeps_its_rate_on_average(law: stats.rv_continuous) -> None:
    rate = 0.006
    values = [
        fit_tail(np.sort(law.rvs(N_TAIL, random_state=seed))).quantile(rate) for seed in range(200)
    ]
    assert np.mean(law.sf(values)) == pytest.approx(rate, rel=FEW_SAMPLES)


def test_a_tail_is_used_only_beyond_the_empirical_quantile() -> None:
    assert make_threshold(normal_scores(98), 0.01).method == "tail"
    assert make_threshold(normal_scores(99), 0.01).method == "empirical"


@pytest.mark.parametrize(
    "law", [stats.norm(), stats.gumbel_r(), stats.t(2)], ids=["light", "usual", "heavy"]
)
def test_the_rate_of_a_tail_threshold_lies_in_its_interval(law: stats.rv_continuous) -> None:
    n_held = 0
    for seed in range(40):
        threshold = make_threshold(law.rvs(N_TAIL, random_state=seed), 0.005)
        low, high = threshold.rate_interval
        assert threshold.method == "tail"
        n_held += low <= law.sf(threshold.value) <= high
    assert n_held >= 38  # resampling the tail held 31 of the heavy ones


def test_no_score_above_a_threshold_of_sixty_allows_six_percent() -> None:
    threshold = make_threshold(np.arange(60.0), 0.005)
    assert threshold.rate_interval == pytest.approx((0, stats.beta.ppf(0.975, 1, 60)))


def test_a_tail_follows_the_scale_and_place_of_the_scores() -> None:
    ordered = np.sort(normal_scores(200))
    plain, moved = fit_tail(ordered), fit_tail(5 + 3 * ordered)
    assert moved.shape == pytest.approx(plain.shape)
    assert moved.quantile(0.002) == pytest.approx(5 + 3 * plain.quantile(0.002))


def test_a_heavier_tail_has_a_larger_shape() -> None:
    light = fit_tail(np.sort(stats.uniform.rvs(size=500, random_state=0)))
    heavy = fit_tail(np.sort(stats.t(2).rvs(size=500, random_state=0)))
    assert light.shape < 0 < heavy.shape


def test_scores_that_are_all_equal_are_their_own_threshold() -> None:
    threshold = make_threshold(np.full(80, 1.5), 0.005)
    assert threshold.value == 1.5
    assert threshold.interval == (1.5, 1.5)


def test_the_same_seed_gives_the_same_threshold() -> None:
    scores = normal_scores(70)
    assert make_threshold(scores, 0.01) == make_threshold(scores[::-1], 0.01)


def test_where_a_share_calibrates_the_hint_counts_all_pictures() -> None:
    with pytest.raises(CalibrationError, match="the 14 good pictures that calibrate") as refused:
        check_rate(14, 0.01, share=0.3)
    assert "give at least 200 good pictures" in str(refused.value)
