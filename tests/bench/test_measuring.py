"""Warm-up and interleaved rounds, on calls that only count."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edgeinspect.bench import measuring
from edgeinspect.bench.measuring import Case, measure_rounds, warm_up


class Clock:
    """Time that moves only when a call takes some."""

    def __init__(self, durations_s: Iterator[float]) -> None:
        self.now_s, self._durations = 0.0, durations_s

    def __call__(self) -> float:
        return self.now_s

    def run(self) -> None:
        self.now_s += next(self._durations)


def test_warm_up_ends_when_calls_take_as_long_as_those_before() -> None:
    clock = Clock(iter([0.5, 0.2, 0.1, *[0.01] * 20]))
    found = warm_up(clock.run, clock=clock)
    assert found.is_stable
    assert found.last_ms == pytest.approx(10)
    assert 6 < found.n_calls < 12


def test_warm_up_that_never_settles_ends_with_its_time_and_says_so() -> None:
    clock = Clock(1.5**i / 1e3 for i in range(100))
    found = warm_up(clock.run, longest_s=2, clock=clock)
    assert not found.is_stable
    assert clock.now_s < 5


def test_every_case_is_called_in_every_round_in_changing_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "ROUND_S", 0.0)  # one call of each a round
    calls: list[str] = []
    cases = [Case(name=n, batch=1, run=lambda n=n: calls.append(n)) for n in "abc"]
    rounds: list[int] = []
    found = measure_rounds(cases, 12, on_round=lambda: rounds.append(len(calls)))
    n_warm = sum(one.warm_up.n_calls for one in found)
    in_rounds = np.array(calls[n_warm:]).reshape(12, 3)
    assert all(set(row) == set("abc") for row in in_rounds)
    assert len({tuple(row) for row in in_rounds}) > 1
    assert len(rounds) == 12
    assert [one.times_ms.shape for one in found] == [(12, 1)] * 3


def test_fast_cases_are_called_more_often_in_a_round() -> None:
    (found,) = measure_rounds([Case(name="fast", batch=1, run=lambda: None)], 2)
    assert found.times_ms.shape == (2, measuring.MOST_CALLS)
    assert found.medians_ms.shape == (2,)
