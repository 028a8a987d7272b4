"""How many parts a minute a line may run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.bench.takt import fastest_takt, miss_at_most, miss_share


def test_a_line_slower_than_the_box_is_never_late() -> None:
    assert miss_share([10.0], n_parts=1, deadline_ms=11, parts_per_minute=5300) == 0


def test_a_line_near_to_what_the_box_can_do_is_taken_for_late() -> None:
    assert miss_share([10.0], n_parts=1, deadline_ms=50, parts_per_minute=5300) == 0
    assert miss_share([10.0], n_parts=1, deadline_ms=50, parts_per_minute=5500) == 1


def test_a_batch_that_fills_slowly_is_late_by_its_first_part() -> None:
    """At 10 parts a second a batch of 4 takes 300 ms to fill."""
    share = miss_share([10.0], n_parts=4, deadline_ms=250, parts_per_minute=600)
    assert share == pytest.approx(1 / 4)


def test_parts_wait_behind_a_slow_one() -> None:
    times = [10.0] * 95 + [200.0] * 5
    alone = miss_share(times, n_parts=1, deadline_ms=100, parts_per_minute=1)
    busy = miss_share(times, n_parts=1, deadline_ms=100, parts_per_minute=2700)
    assert 0.05 < alone < 0.12
    assert busy > 2 * alone


def test_the_fastest_takt_keeps_the_promise_and_leaves_the_box_a_tenth() -> None:
    found = fastest_takt([10.0] * 50, n_parts=1, deadline_ms=20, miss_probability=0.01)
    assert found is not None
    assert found.parts_per_minute == pytest.approx(5400)
    assert found.miss_share <= 0.01


def test_a_deadline_below_every_time_has_no_takt() -> None:
    assert fastest_takt([10.0], n_parts=1, deadline_ms=9, miss_probability=0.01) is None


@given(st.integers(1, 500), st.data())
def test_the_bound_lies_above_what_was_seen(n: int, data: st.DataObject) -> None:
    n_late = data.draw(st.integers(0, n))
    assert n_late / n <= miss_at_most(n_late, n) <= 1


def test_three_hundred_batches_without_a_late_one_show_one_percent() -> None:
    assert miss_at_most(0, 299) == pytest.approx(0.01, abs=1e-4)
    assert np.isclose(miss_at_most(0, 1), 0.95)


def test_the_rate_holds_for_times_that_were_not_measured() -> None:
    """Twenty plans of sixty batches each, held to twenty thousand further ones."""
    rng = np.random.default_rng(0)
    n_kept = 0
    for _ in range(20):
        found = fastest_takt(
            20 * np.exp(0.12 * rng.normal(size=60)),
            n_parts=1,
            deadline_ms=40,
            miss_probability=0.01,
        )
        assert found is not None
        latencies = _latencies(20 * np.exp(0.12 * rng.normal(size=20_000)), found.parts_per_minute)
        n_kept += bool((np.array(latencies) > 40).mean() <= 0.01)
    assert n_kept >= 18


def _latencies(services: np.ndarray, parts_per_minute: float) -> list[float]:
    """From the moment each part comes until it is ready, one after the other."""
    latencies, free_at = [], 0.0
    for i, service in enumerate(services):
        comes_at = i * 60e3 / parts_per_minute
        free_at = max(free_at, comes_at) + service
        latencies.append(free_at - comes_at)
    return latencies
