"""The beta distribution against SciPy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgeinspect.calibration.beta import beta_cdf, beta_quantile, counted_interval

PARAMETER = st.floats(0.5, 2000)


@given(x=st.floats(0, 1), a=PARAMETER, b=PARAMETER)
@settings(max_examples=100, deadline=None)
def test_probability_is_that_of_scipy(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-8, abs=1e-12)


@given(probability=st.floats(0.001, 0.999), a=PARAMETER, b=PARAMETER)
@settings(max_examples=50, deadline=None)
def test_quantile_undoes_probability(probability: float, a: float, b: float) -> None:
    assert beta_cdf(beta_quantile(probability, a, b), a, b) == pytest.approx(probability, abs=1e-9)


def test_the_rate_above_the_largest_of_99_scores() -> None:
    assert beta_quantile(0.975, 1, 99) == pytest.approx(1 - 0.025 ** (1 / 99))


@pytest.mark.parametrize("n_hits", [0, 1, 7, 19, 20])
def test_the_interval_of_a_counted_share_is_that_of_scipy(n_hits: int) -> None:
    expected = stats.binomtest(n_hits, 20).proportion_ci(0.95, method="exact")
    assert counted_interval(n_hits, 20) == pytest.approx((expected.low, expected.high), abs=1e-9)
