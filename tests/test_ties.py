"""Which images have two best maps that rounding cannot tell apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgeinspect.config import Rule
from edgeinspect.constants import RuleConstants, one_hot
from edgeinspect.ties import find_ties, picks_by_mean

SHARE = 0.01
N_MEASURES, N_SCALES, N_EACH = 2, 3, 2
MEAN = 1  # the second of two statistics of a map


def constants(rule: Rule, usual: tuple[float, ...] = (0, 0, 0)) -> RuleConstants:
    """Neutral ones but for the usual mean errors of the first measure's scales."""
    neutral = RuleConstants.neutral(
        n_measures=N_MEASURES, n_scales=N_SCALES, size=8, n_statistics=N_MEASURES * N_SCALES * 2
    )
    mean = np.zeros((N_MEASURES, N_SCALES, N_EACH), np.float32)
    mean[0, :, MEAN] = usual
    return dataclasses.replace(neutral, rule=one_hot(rule), stat_mean=mean.ravel())


def is_tie(means: tuple[float, ...], given: RuleConstants, *, other: float = 0.5) -> bool:
    """Of one image with these means of the first measure; all else is `other`."""
    statistics = np.full((1, N_MEASURES, N_SCALES, N_EACH), other, np.float32)
    statistics[0, 0, :, MEAN] = means
    found = find_ties(statistics.reshape(1, -1), given, SHARE, n_placed=2, mean_index=MEAN)
    return bool(found[0])


@pytest.mark.parametrize(
    ("means", "expected"), [((1, 0.995, 0), True), ((0.995, 0, 1), True), ((1, 0.98, 0), False)]
)
@pytest.mark.parametrize("rule", list(Rule))
def test_two_best_maps_tie_within_the_share(
    rule: Rule, means: tuple[float, ...], expected: bool
) -> None:
    assert is_tie(means, constants(rule)) == expected


def test_under_paper_what_is_usual_is_taken_off_first() -> None:
    given = constants(Rule.PAPER, usual=(0.9, 0, 0))
    assert is_tie((1.0, 0.0, 0.099), given)
    assert not is_tie((1.0, 0.0, 0.05), given)


def test_under_paper_nothing_but_means_of_the_first_measure_counts() -> None:
    assert not is_tie((1, 0, 0), constants(Rule.PAPER), other=5)
    assert is_tie((1, 0, 0), constants(Rule.PEAK), other=5)


def test_one_map_has_no_tie() -> None:
    neutral = RuleConstants.neutral(n_measures=1, n_scales=1, size=8, n_statistics=2)
    for rule in Rule:
        given = dataclasses.replace(neutral, rule=one_hot(rule))
        found = find_ties(np.ones((3, 2), np.float32), given, SHARE, n_placed=1, mean_index=0)
        assert found.tolist() == [False] * 3


def test_the_papers_rule_alone_picks_by_means() -> None:
    assert [rule for rule in Rule if picks_by_mean(constants(rule))] == [Rule.PAPER]
