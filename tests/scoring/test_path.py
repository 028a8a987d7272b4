"""The whole of scoring, against the NumPy half of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from edgeinspect.calibration import rules, statistics
from edgeinspect.config import Rule, ScoringConfig
from edgeinspect.constants import RuleConstants, one_hot
from edgeinspect.scoring import RuleInputs, ScoreOutputs, error_maps, score_maps

SIZE, N_SCALES, N_TILES = 32, 3, 2
CONFIG = ScoringConfig(blur_px=3)
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


def run(
    constants: RuleConstants, pairs: tuple[torch.Tensor, torch.Tensor], tile: np.ndarray = TILE
) -> ScoreOutputs:
    errors = error_maps(*pairs, CONFIG.measures)
    return score_maps(errors, torch.from_numpy(tile), RuleInputs.from_constants(constants), CONFIG)


@pytest.mark.parametrize("rule", list(Rule))
def test_the_path_is_the_chain_of_its_steps_in_numpy(rule: Rule) -> None:
    constants = make_constants(rule)
    found = run(constants, make_images())
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
    constants, (images, recons) = make_constants(Rule.PEAK), make_images()
    alone = run(constants, (images[2:], recons[2:]), TILE[2:])
    together = run(constants, (images, recons))
    assert alone.score.item() == pytest.approx(together.score[2].item())


def test_one_pixel_that_is_no_number_makes_the_score_one() -> None:
    images, recons = make_images()
    recons[1, 2, 0, 5, 5] = torch.nan
    score = run(make_constants(Rule.MAHALANOBIS), (images, recons)).score
    assert torch.isnan(score).tolist() == [False, True, False]
