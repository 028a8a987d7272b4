"""What held-out images say, and when a run says that nothing was learnt."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from edgeinspect.training import train as training
from edgeinspect.training import validation
from edgeinspect.training.checkpoint import TrainingState


@pytest.mark.parametrize("n", [1, 31, 32, 33, 60, 1000])
def test_looks_are_spread_over_all_pictures(n: int) -> None:
    places = validation._spread(n)
    assert len(places) == min(n, validation.MAX_IMAGES)
    assert len(set(places)) == len(places)
    assert (places[0], places[-1]) == (0, n - 1)
    assert n == 1 or np.ptp(np.diff(places)) <= 1


@pytest.mark.parametrize(("best_error", "n_warnings"), [(0.01, 0), (0.02, 1)])
def test_only_a_best_generator_that_does_not_beat_the_fill_is_told(
    best_error: float, n_warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    state = TrainingState(step=9, best_step=5, best_error=best_error, error=0.03, fill_error=0.02)
    with caplog.at_level(logging.WARNING):
        training._finish(state)
    assert caplog.text.count("does not beat the smooth") == n_warnings
