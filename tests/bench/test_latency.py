"""Percentiles and ratios of times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.bench.latency import Latency, median_ratio, unpaired_ratio

TIMES = st.lists(st.floats(0.01, 1e4), min_size=2, max_size=50)


@given(TIMES)
def test_percentiles_rise_from_the_least_to_the_most(times: list[float]) -> None:
    found = Latency.of(times)
    values = [
        found.min_ms,
        found.p50_ms,
        found.p90_ms,
        found.p95_ms,
        found.p99_ms,
        found.max_ms,
    ]
    assert values == sorted(values)
    assert (found.min_ms, found.max_ms, found.n) == (min(times), max(times), len(times))


def test_spread_is_that_of_the_medians_of_rounds() -> None:
    rounds = np.array([[1.0, 1.0, 9.0], [1.0, 1.0, 7.0]])
    assert Latency.of(rounds).cv == 0.0
    assert Latency.of([1.0, 3.0]).cv == pytest.approx(0.5)


def test_images_a_second_count_the_batch() -> None:
    assert Latency.of([20.0, 20.0]).images_per_s(4) == pytest.approx(200)


def test_drift_that_hits_both_leaves_a_paired_ratio_alone() -> None:
    drift = np.linspace(1, 3, 20)
    ratio = median_ratio(4 * drift, 2 * drift)
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((2, 2, 2))


def test_rounds_that_were_not_together_have_a_wider_interval() -> None:
    drift = np.linspace(1, 3, 20)
    ratio = unpaired_ratio(4 * drift, 2 * drift)
    assert ratio.low < 1.9
    assert ratio.high > 2.1
