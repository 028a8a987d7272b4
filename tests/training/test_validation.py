"""What held-out images say, and when a run says that nothing was learnt."""

from __future__ import annotations

import logging

import pytest
import torch

from edgeinspect.config import RunConfig, Target
from edgeinspect.model.generator import Generator
from edgeinspect.training import train as training
from edgeinspect.training import validation
from edgeinspect.training.checkpoint import TrainingState
from edgeinspect.training.run_folder import Plan
from tests.model.settings import random_generator, small_features


def end_of(state: TrainingState, holdout: dict[str, str], log: pytest.LogCaptureFixture) -> str:
    """What is said at the end of a run."""
    plan = Plan(
        config=RunConfig(),
        n_steps=state.step,
        folder="",
        training={},
        holdout=holdout,
        skipped=(),
        mean=0.5,
        spread=0.1,
    )
    with log.at_level(logging.WARNING):
        training._finish(state, plan)
    return log.text


@pytest.mark.parametrize(("best_error", "n_warnings"), [(0.01, 0), (0.02, 1)])
def test_only_a_best_generator_that_does_not_beat_none_is_told(
    best_error: float, n_warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    state = TrainingState(step=9, best_step=5, best_error=best_error, error=0.03, fill_error=0.02)
    said = end_of(state, {"aa": "1.png"}, caplog)
    assert said.count("on held-out good pictures the generator's error") == n_warnings
    assert said.count("does not beat what there is without it") == n_warnings


@pytest.mark.parametrize("best_error", [0.0199999, 0.02, 0.5])
def test_a_run_whose_start_was_the_best_says_so(
    best_error: float, caplog: pytest.LogCaptureFixture
) -> None:
    state = TrainingState(step=9, best_step=0, best_error=best_error, error=0.6, fill_error=0.02)
    said = end_of(state, {"aa": "1.png"}, caplog)
    assert "no step of training made the generator's error on held-out good pictures" in said
    assert "does not beat" not in said


def test_pictures_that_trained_are_not_called_held_out(caplog: pytest.LogCaptureFixture) -> None:
    state = TrainingState(step=9, best_step=5, best_error=0.03, error=0.03, fill_error=0.02)
    assert "on the pictures that trained the generator's error" in end_of(state, {}, caplog)


@pytest.mark.parametrize("target", list(Target))
def test_a_new_generator_is_as_good_as_none(target: Target) -> None:
    generator = Generator(small_features(target=target)).eval()
    with torch.no_grad():
        errors, without = validation._errors(generator, torch.rand(3, 3, 64, 64))
    assert errors.shape == without.shape == (3, 2)
    assert torch.allclose(errors, without, atol=1e-6)


@pytest.mark.parametrize("target", [Target.FEATURES, Target.BOTH])
def test_with_features_the_error_is_that_of_features(target: Target) -> None:
    generator, images = random_generator(small_features(target=target)), torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        errors, without = validation._errors(generator, images)
        targets, recons = generator.targets(images), generator(images).features
    assert torch.allclose(errors[:, 1], (recons[:, 1] - targets).square().mean(dim=(1, 2)))
    assert torch.allclose(without[:, 1], targets.square().mean(dim=(1, 2)))
