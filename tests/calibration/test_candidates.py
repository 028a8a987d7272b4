"""Candidates: what each rule reads, and which normalisation good pictures prefer."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.calibration.candidates import (
    candidates,
    default_candidate,
    prefer_normalisation,
    visible_increment,
)
from edgeinspect.calibration.crossfit import CrossFit, FoldSums, crossfit
from edgeinspect.calibration.good_maps import MapCache
from edgeinspect.config import Measure, Normalisation, Rule, ScoringConfig, Statistic
from edgeinspect.progress import no_progress
from tests.calibration.made_maps import SCORING, SIDES, good_maps, random_maps

EVERY = ScoringConfig(statistics=tuple(Statistic))
BLOCK, PIXEL, NONE = Normalisation.BLOCK, Normalisation.PIXEL, Normalisation.NONE


def fit_both(maps: np.ndarray) -> dict[Normalisation, CrossFit]:
    with MapCache() as cache:
        good = good_maps(maps, cache)
        folds = FoldSums.of(good, maps.shape[1])
        return {
            how: crossfit(good, folds, how, SIDES, SCORING, on_progress=no_progress)
            for how in (BLOCK, PIXEL)
        }


def test_peak_reads_the_largest_errors_of_every_measure_and_the_mean_both_ways() -> None:
    weight = default_candidate(Rule.PEAK, BLOCK, EVERY).weight(EVERY, 3)
    assert weight.reshape(3, 3, 4).tolist() == [[[-1, 0, 1, 1]] * 3] * 3


def test_of_features_peak_reads_every_statistic() -> None:
    scoring = ScoringConfig(measures=(Measure.L1, Measure.FEATURES), statistics=tuple(Statistic))
    weight = default_candidate(Rule.PEAK, BLOCK, scoring).weight(scoring, 3).reshape(2, 3, 4)
    assert weight[0].tolist() == [[-1, 0, 1, 1]] * 3
    assert weight[1].tolist() == [[1, 1, 1, 1]] * 3


def test_of_features_alone_the_paper_reads_one_statistic() -> None:
    scoring = ScoringConfig(measures=(Measure.FEATURES,), statistics=tuple(Statistic))
    weight = default_candidate(Rule.PAPER, BLOCK, scoring).weight(scoring, 3)
    assert weight.reshape(3, 4).tolist() == [[0, 0, 0, 1]] * 3


def test_paper_reads_one_statistic_of_the_first_measure_as_it_is() -> None:
    candidate = default_candidate(Rule.PAPER, BLOCK, EVERY)
    weight = candidate.weight(EVERY, 3).reshape(3, 3, 4)
    assert weight[0].tolist() == [[0, 0, 0, 1]] * 3
    assert weight.sum() == 3
    assert candidate.normalisation is NONE


@pytest.mark.parametrize("rule", list(Rule))
def test_a_graph_with_the_mean_alone_has_a_default(rule: Rule) -> None:
    scoring = ScoringConfig(statistics=(Statistic.MEAN,))
    candidate = default_candidate(rule, BLOCK, scoring)
    assert candidate.statistics == (Statistic.MEAN,)
    sign = 1 if rule is Rule.PAPER else -1
    assert candidate.weight(scoring, 3)[:3].tolist() == [sign] * 3


def test_the_short_list_begins_with_the_default_and_names_each_once() -> None:
    default = default_candidate(Rule.PEAK, PIXEL, EVERY)
    found = candidates(default, EVERY, (BLOCK, PIXEL, NONE))
    assert found[0] == default
    assert len({candidate.name for candidate in found}) == len(found) == 11
    assert {candidate.rule for candidate in found} == set(Rule)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (
            Rule.PEAK,
            "peak of l1 (max, top_01_percent, mean both ways), features, whole (all), block",
        ),
        (Rule.MAHALANOBIS, "mahalanobis of every statistic, block"),
        (Rule.PAPER, "paper of l1 (max), none"),
    ],
)
def test_a_name_tells_all_that_is_read(rule: Rule, name: str) -> None:
    scoring = ScoringConfig(measures=(Measure.L1, Measure.FEATURES, Measure.WHOLE))
    assert default_candidate(rule, BLOCK, scoring).name == name


def test_a_named_normalisation_leaves_no_other() -> None:
    default = default_candidate(Rule.PEAK, BLOCK, EVERY)
    found = candidates(default, EVERY, (BLOCK,))
    assert {candidate.normalisation for candidate in found} == {BLOCK}


def test_one_measure_makes_no_candidate_twice() -> None:
    scoring = ScoringConfig(measures=(Measure.L1,))
    found = candidates(default_candidate(Rule.PEAK, BLOCK, scoring), scoring, (BLOCK, NONE))
    assert len(found) == 4


def test_parts_with_structure_at_one_place_prefer_pixel() -> None:
    maps = random_maps(0, 30)
    maps[..., :8] *= 5
    fits = fit_both(maps)
    assert prefer_normalisation(fits[BLOCK], fits[PIXEL], SCORING) is PIXEL


def test_parts_with_structure_anywhere_prefer_block() -> None:
    maps = random_maps(1, 30)
    rng = np.random.default_rng(0)
    for of_picture in maps:
        start = int(rng.integers(0, 24))
        of_picture[..., start : start + 8] *= 5
    fits = fit_both(maps)
    assert prefer_normalisation(fits[BLOCK], fits[PIXEL], SCORING) is BLOCK


def test_parts_alike_everywhere_prefer_block() -> None:
    fits = fit_both(random_maps(2, 30))
    assert prefer_normalisation(fits[BLOCK], fits[PIXEL], SCORING) is BLOCK


def test_the_visible_increment_has_the_unit_of_the_error() -> None:
    maps = random_maps(3, 20)
    small, large = (visible_increment(fit_both(m)[BLOCK], SCORING) for m in (maps, 10 * maps))
    assert large == pytest.approx(10 * small, rel=0.02)


def test_what_has_no_place_is_never_the_only_measure() -> None:
    scoring = ScoringConfig(measures=(Measure.FEATURES, Measure.WHOLE), statistics=tuple(Statistic))
    default = default_candidate(Rule.PEAK, Normalisation.PIXEL, scoring)
    measures = {c.measures for c in candidates(default, scoring, tuple(Normalisation))}
    assert (Measure.WHOLE,) not in measures
    assert (Measure.FEATURES,) in measures
