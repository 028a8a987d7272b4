"""The whole of scoring, against the NumPy half of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from edgeinspect.calibration import rules, statistics
from edgeinspect.config import Rule, ScoringConfig
from edgeinspect.constants import RuleConstants, one_hot
from edgeinspect.scoring import RuleInputs, ScoreOutputs, ScoringPath, error_maps

SIZE, N_SCALES, N_TILES = 32, 3, 2
CONFIG = ScoringConfig(blur_px=3)
PATH = ScoringPath(measures=CONFIG.measures, statistics=CONFIG.statistics, blur_px=CONFIG.blur_px)
TILE = np.array([0, 1, 1], np.int32)
TOLERANCE = 1e-4  # of z values of a few units in float32


def make_images() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    images = rng.random((len(TILE), 3, SIZE, SIZE))
    recons = images[:, None] + rng.normal(0, 0.1, (len(TILE), N_SCALES, 3, SIZE, SIZE))
    return torch.from_numpy(images).float(), torch.from_numpy(recons).float()


def make_constants(rule: Rule) -> RuleConstants:
    rng = np.random.default_rng(1)
    neutral = RuleConstants.neutral(
        n_tiles=N_TILES,
        n_measures=len(CONFIG.measures),
        n_scales=N_SCALES,
        size=SIZE,
        n_statistics=CONFIG.n_statistics(N_SCALES),
    )
    return dataclasses.replace(
        neutral,
        map_mean=rng.random(neutral.map_mean.shape),
        map_inv_std=rng.uniform(1, 3, neutral.map_mean.shape),
        stat_mean=rng.random(neutral.stat_mean.shape),
        stat_inv_std=rng.uniform(1, 3, neutral.stat_mean.shape),
        rule=one_hot(rule),
    )


def run(constants: RuleConstants) -> ScoreOutputs:
    outputs = PATH(*make_images(), torch.from_numpy(TILE), RuleInputs.from_constants(constants))
    assert isinstance(outputs, ScoreOutputs)
    return outputs


@pytest.mark.parametrize("rule", list(Rule))
def test_the_path_is_the_chain_of_its_steps_in_numpy(rule: Rule) -> None:
    constants, found = make_constants(rule), run(make_constants(rule))
    errors = error_maps(*make_images(), CONFIG.measures).numpy()
    maps = statistics.blur(statistics.normalise(errors, constants, TILE), CONFIG.blur_px)
    numbers = statistics.statistics(maps, CONFIG)
    expected = rules.score(numbers, constants, CONFIG, N_SCALES)
    assert found.statistics.numpy() == pytest.approx(numbers, abs=TOLERANCE)
    assert found.score.numpy() == pytest.approx(expected.score, abs=TOLERANCE)
    assert found.scale.tolist() == expected.scale.tolist()
    picked = expected.winner // len(CONFIG.statistics)
    shown = maps.reshape(len(TILE), -1, SIZE, SIZE)[np.arange(len(TILE)), picked]
    assert found.anomaly_map.numpy() == pytest.approx(shown, abs=TOLERANCE)


def test_an_image_is_scored_alike_alone_and_in_a_batch() -> None:
    images, recons = make_images()
    constants = RuleInputs.from_constants(make_constants(Rule.PEAK))
    alone = PATH(images[2:], recons[2:], torch.from_numpy(TILE[2:]), constants)
    assert alone.score.item() == pytest.approx(run(make_constants(Rule.PEAK)).score[2].item())


def test_the_path_has_no_weights() -> None:
    assert list(PATH.state_dict()) == []


def test_one_pixel_that_is_no_number_makes_the_score_one() -> None:
    images, recons = make_images()
    recons[1, 2, 0, 5, 5] = torch.nan
    constants = RuleInputs.from_constants(make_constants(Rule.MAHALANOBIS))
    score = PATH(images, recons, torch.from_numpy(TILE), constants).score
    assert torch.isnan(score).tolist() == [False, True, False]
