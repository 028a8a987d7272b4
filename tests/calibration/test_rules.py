"""The scores of the three rules, against loops written from the equations."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.calibration.rules import StatisticConstants, TileScores, fit_statistics, score
from edgeinspect.config import Rule, ScoringConfig, Statistic
from edgeinspect.constants import one_hot

CONFIG = ScoringConfig(statistics=tuple(Statistic))
N_SCALES = 3
SHAPE = (len(CONFIG.measures), N_SCALES, len(CONFIG.statistics))
S = int(np.prod(SHAPE))


def make_statistics(seed: int = 0, n: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).gamma(3, 1, (n, S)).astype(np.float32)


def make_constants(rule: Rule = Rule.PEAK, weight: np.ndarray | None = None) -> StatisticConstants:
    weight = np.ones(S, np.float32) if weight is None else weight
    return fit_statistics(make_statistics(1, 60), weight, one_hot(rule))


def scores(statistics: np.ndarray, constants: StatisticConstants) -> TileScores:
    return score(statistics, constants, CONFIG, N_SCALES)


def z_of(statistics: np.ndarray, constants: StatisticConstants) -> np.ndarray:
    return (statistics - constants.stat_mean) * constants.stat_inv_std


def test_z_of_the_good_images_has_mean_0_and_spread_1() -> None:
    z = z_of(make_statistics(1, 60), make_constants())
    assert z.mean(axis=0) == pytest.approx(np.zeros(S), abs=1e-5)
    assert z.std(axis=0, ddof=1) == pytest.approx(np.ones(S), abs=1e-5)


def test_local_score_is_the_largest_weighted_z_that_is_selected() -> None:
    weight = np.random.default_rng(2).choice([-1, 0, 0.5, 2], S).astype(np.float32)
    constants, statistics = make_constants(weight=weight), make_statistics()
    found = scores(statistics, constants)
    for n, z in enumerate(z_of(statistics, constants)):
        values = {s: weight[s] * z[s] for s in range(S) if weight[s] > 0}
        values |= {s: abs(weight[s] * z[s]) for s in range(S) if weight[s] < 0}
        assert found.local[n] == pytest.approx(max(values.values()), rel=1e-5)
        assert found.winner[n] == max(values, key=lambda s: values[s])


def test_a_local_score_can_be_negative() -> None:
    weight = np.zeros(S, np.float32)
    weight[5] = 1
    constants = make_constants(weight=weight)
    low = constants.stat_mean[None] - 3 / constants.stat_inv_std
    assert scores(low.astype(np.float32), constants).local[0] == pytest.approx(-3, rel=1e-5)


def test_what_counts_both_ways_is_far_below_usual_as_well() -> None:
    weight = np.zeros(S, np.float32)
    weight[5] = -2
    constants = make_constants(weight=weight)
    low = constants.stat_mean[None] - 3 / constants.stat_inv_std
    assert scores(low.astype(np.float32), constants).local[0] == pytest.approx(6, rel=1e-5)


def test_global_score_is_the_mahalanobis_distance() -> None:
    constants, statistics = make_constants(), make_statistics()
    found = scores(statistics, constants).global_
    for n, z in enumerate(z_of(statistics, constants)):
        assert found[n] == pytest.approx(np.sqrt(z @ constants.precision @ z), rel=1e-4)


def test_paper_score_is_read_at_the_scale_whose_mean_error_exceeds_its_usual_value_most() -> None:
    weight = np.zeros(SHAPE, np.float32)
    at = CONFIG.statistics.index(Statistic.MAX)
    weight[0, :, at] = 1
    constants = make_constants(Rule.PAPER, weight.ravel())
    statistics = make_statistics()
    found = scores(statistics, constants)
    mean = constants.stat_mean.reshape(SHAPE)[0, :, 0]
    for n, values in enumerate(statistics.reshape(-1, *SHAPE)):
        f = int(np.argmax(values[0, :, 0] - mean))
        assert found.scale[n] == f
        assert found.score[n] == pytest.approx(values[0, f, at])
        assert np.unravel_index(found.winner[n], SHAPE) == (0, f, at)


def test_paper_score_is_the_weighted_mean_of_the_statistics_selected() -> None:
    weight = np.zeros(SHAPE, np.float32)
    weight[0, :, 0], weight[0, :, 3] = 1, 3
    constants = make_constants(Rule.PAPER, weight.ravel())
    statistics = make_statistics()
    found = scores(statistics, constants)
    values = statistics.reshape(-1, *SHAPE)[np.arange(20), 0, found.scale]
    assert found.paper == pytest.approx((values[:, 0] + 3 * values[:, 3]) / 4, rel=1e-5)


@pytest.mark.parametrize(
    ("rule", "field"), [(Rule.PAPER, "paper"), (Rule.PEAK, "local"), (Rule.MAHALANOBIS, "global_")]
)
def test_the_rule_names_the_score(rule: Rule, field: str) -> None:
    found = scores(make_statistics(), make_constants(rule))
    assert found.score == pytest.approx(getattr(found, field))


@pytest.mark.parametrize("rule", [Rule.PEAK, Rule.MAHALANOBIS])
def test_the_scale_is_that_of_the_winning_statistic(rule: Rule) -> None:
    found = scores(make_statistics(), make_constants(rule))
    assert np.array_equal(found.scale, np.unravel_index(found.winner, SHAPE)[1])


@pytest.mark.parametrize("rule", list(Rule))
def test_a_statistic_that_is_no_number_makes_the_score_none(rule: Rule) -> None:
    statistics = make_statistics()
    statistics[3] = np.nan
    found = scores(statistics, make_constants(rule))
    assert np.isnan(found.score[3])
    assert np.isfinite(np.delete(found.score, 3)).all()


def test_statistics_that_never_vary_divide_by_no_zero() -> None:
    flat = np.full((10, S), 0.5, np.float32)
    constants = fit_statistics(flat, np.ones(S, np.float32), one_hot(Rule.PEAK))
    assert np.isfinite(constants.stat_inv_std).all()
    assert scores(flat, constants).local == pytest.approx(np.zeros(10), abs=1e-3)
