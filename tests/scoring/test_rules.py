"""The three rules, against the equations and the NumPy half."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from edgeinspect.calibration.rules import StatisticConstants, fit_statistics
from edgeinspect.calibration.rules import score as numpy_score
from edgeinspect.config import Measure, Rule, ScoringConfig, Statistic
from edgeinspect.constants import one_hot
from edgeinspect.scoring.rules import Decision, decide, global_score, local_score

CONFIG = ScoringConfig(
    measures=(Measure.L1, Measure.SSIM, Measure.WHOLE),
    statistics=(Statistic.MAX, Statistic.MEAN, Statistic.TOP_01_PERCENT),
)
N_SCALES, N_MEASURES, N_EACH = 3, 3, 3
S = N_MEASURES * N_SCALES * N_EACH
TOLERANCE = 1e-4  # float32 sums of 729 products against float64


def make_statistics(seed: int = 0, n: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).gamma(3, 1, (n, S)).astype(np.float32)


def make_constants(rule: Rule, seed: int = 1) -> StatisticConstants:
    weight = np.random.default_rng(seed).choice([-1, 0, 0.5, 2], S).astype(np.float32)
    return fit_statistics(make_statistics(seed, 60), weight, one_hot(rule))


def apply(statistics: np.ndarray, constants: StatisticConstants) -> Decision:
    names = ("stat_mean", "stat_inv_std", "stat_weight", "precision", "rule")
    given = {name: torch.from_numpy(getattr(constants, name)) for name in names}
    return decide(
        torch.from_numpy(statistics),
        n_measures=N_MEASURES,
        n_placed=CONFIG.n_placed,
        n_scales=N_SCALES,
        mean_index=CONFIG.statistics.index(Statistic.MEAN),
        **given,
    )


def with_weight(constants: StatisticConstants, weight: np.ndarray) -> StatisticConstants:
    return fit_statistics(make_statistics(1, 60), weight.astype(np.float32), constants.rule)


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("seed", range(3))
def test_scores_scale_and_map_agree_with_those_of_calibration(rule: Rule, seed: int) -> None:
    statistics, constants = make_statistics(seed + 10), make_constants(rule, seed)
    found, expected = apply(statistics, constants), numpy_score(statistics, constants, CONFIG, 3)
    assert found.score.numpy() == pytest.approx(expected.score, rel=TOLERANCE)
    assert found.local_score.numpy() == pytest.approx(expected.local, rel=TOLERANCE)
    assert found.global_score.numpy() == pytest.approx(expected.global_, rel=TOLERANCE)
    assert found.scale.tolist() == expected.scale.tolist()
    assert found.picked.tolist() == (expected.winner // N_EACH).tolist()


def test_a_measure_of_wholes_counts_in_the_score_and_is_never_shown() -> None:
    constants = make_constants(Rule.PEAK)
    constants = with_weight(constants, np.ones(S))
    statistics = make_statistics(3)
    usual = apply(statistics, constants)
    statistics[:, CONFIG.n_placed * N_SCALES * N_EACH :] *= 100
    found = apply(statistics, constants)
    assert (found.local_score > 10 * usual.local_score.abs()).all()
    assert found.picked.tolist() == usual.picked.tolist()


def test_local_score_leaves_out_what_has_no_weight() -> None:
    z = torch.tensor([[9.0, 2.0, 3.0], [-5.0, -4.0, -3.0]])
    assert local_score(z, torch.tensor([0.0, 2.0, 1.0])).tolist() == [4.0, -3.0]


def test_below_0_a_weight_counts_both_ways() -> None:
    z = torch.tensor([[9.0, 2.0, 3.0], [-5.0, -4.0, -3.0]])
    assert local_score(z, torch.tensor([0.0, 1.0, -2.0])).tolist() == [6.0, 6.0]


def test_global_score_is_the_square_root_of_the_quadratic_form() -> None:
    z, precision = torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    assert global_score(z, precision).item() == pytest.approx(np.sqrt(2 + 4 + 2 * 0.5 * 2))


def test_global_score_of_an_indefinite_precision_is_a_number() -> None:
    assert global_score(torch.tensor([[2.0]]), torch.tensor([[-1.0]])).item() == 2


def test_the_papers_scale_is_the_one_whose_mean_exceeds_its_usual_value_most() -> None:
    constants = make_constants(Rule.PAPER)
    statistics = np.repeat(constants.stat_mean[None], 2, axis=0)
    mean_of_scale = [i * N_EACH + 1 for i in range(N_SCALES)]
    statistics[0, mean_of_scale[2]] += 1
    statistics[1, mean_of_scale[1]] += 1
    assert apply(statistics, constants).scale.tolist() == [2, 1]


def test_scale_is_int32_as_engines_want_their_outputs() -> None:
    assert apply(make_statistics(), make_constants(Rule.PEAK)).scale.dtype == torch.int32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rule", list(Rule))
def test_a_statistic_that_is_not_finite_makes_every_score_nan(rule: Rule, bad: float) -> None:
    weight = np.ones(S)
    weight[4] = 0
    constants, statistics = with_weight(make_constants(rule), weight), make_statistics()
    statistics[2, 4] = bad
    found = apply(statistics, constants)
    scores: list[Tensor] = [found.score, found.local_score, found.global_score]
    assert [torch.isnan(s).nonzero().flatten().tolist() for s in scores] == [[2]] * 3


def test_without_weights_the_peak_is_not_finite_and_the_distance_counts_all_the_same() -> None:
    peak = apply(make_statistics(), with_weight(make_constants(Rule.PEAK), np.zeros(S)))
    distance = with_weight(make_constants(Rule.MAHALANOBIS), np.zeros(S))
    assert torch.isneginf(peak.score).all()
    assert torch.isfinite(apply(make_statistics(), distance).score).all()
