"""Two calls against each other."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.bench import racing
from edgeinspect.bench.measuring import Case, Rounds, WarmUp


def test_above_one_the_second_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(cases: list[Case], n_rounds: int) -> list[Rounds]:
        warm = WarmUp(n_calls=1, is_stable=True, last_ms=1.0)
        return [
            Rounds(case=case, warm_up=warm, times_ms=np.full((n_rounds, 3), ms))
            for case, ms in zip(cases, (30.0, 20.0), strict=True)
        ]

    monkeypatch.setattr(racing, "measure_rounds", timed)
    found = racing.race(lambda: None, lambda: None)
    assert (found.value, found.low, found.high) == (1.5, 1.5, 1.5)
