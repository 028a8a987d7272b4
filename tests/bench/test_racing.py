"""Two calls against each other."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.bench import racing
from edgeinspect.bench.measuring import Case, Rounds, WarmUp


def made(case: Case, times_ms: np.ndarray) -> Rounds:
    warm = WarmUp(n_calls=1, is_stable=True, last_ms=1.0)
    return Rounds(case=case, warm_up=warm, times_ms=times_ms)


def test_above_one_the_second_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(cases: list[Case], n_rounds: int) -> list[Rounds]:
        times = (np.full((n_rounds, 3), ms) for ms in (30.0, 20.0))
        return [made(case, ms) for case, ms in zip(cases, times, strict=True)]

    monkeypatch.setattr(racing, "measure_rounds", timed)
    found = racing.race(lambda: None, lambda: None)
    assert (found.value, found.low, found.high) == (1.5, 1.5, 1.5)


def test_a_machine_that_becomes_slow_halfway_does_not_move_the_ratio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def timed(cases: list[Case], n_rounds: int) -> list[Rounds]:
        load = np.linspace(1, 9, n_rounds)[:, None]
        return [made(case, ms * load) for case, ms in zip(cases, (12.0, 10.0), strict=True)]

    monkeypatch.setattr(racing, "measure_rounds", timed)
    found = racing.race(lambda: None, lambda: None)
    assert (found.low, found.high) == pytest.approx((1.2, 1.2))
