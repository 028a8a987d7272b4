"""Cross-fitting: no part is scored by constants that have seen it."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.calibration.crossfit import (
    CrossFit,
    FoldSums,
    crossfit,
    folds_of,
    largest_of_parts,
)
from edgeinspect.calibration.good_maps import MapCache
from edgeinspect.config import Normalisation, Rule
from edgeinspect.constants import one_hot
from edgeinspect.errors import CalibrationError
from edgeinspect.progress import no_progress
from tests.calibration.made_maps import (
    N_SCALES,
    SCORING,
    SIDES,
    good_maps,
    random_maps,
)

ALL = tuple(Normalisation)
WEIGHT = np.ones(SCORING.n_statistics(N_SCALES), np.float32)
PEAK = one_hot(Rule.PEAK)


def fit(maps: np.ndarray) -> dict[Normalisation, CrossFit]:
    with MapCache() as cache:
        good = good_maps(maps, cache)
        folds = FoldSums.of(good, maps.shape[1])
        return {
            how: crossfit(good, folds, how, SIDES, SCORING, on_progress=no_progress) for how in ALL
        }


@pytest.mark.parametrize("n", [10, 12, 300])
def test_there_are_five_folds_however_few_the_pictures(n: int) -> None:
    assert np.bincount(folds_of(n)).min() == n // 5
    assert folds_of(n).max() + 1 == 5


def test_fewer_than_ten_pictures_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"9 good pictures are too few.*at least 10"):
        folds_of(9)


@pytest.mark.parametrize("how", ALL)
def test_what_judges_a_fold_does_not_depend_on_its_pictures(how: Normalisation) -> None:
    maps = random_maps(0, 15, n_tiles=2)
    before = fit(maps)[how]
    maps[before.fold == 1] *= 3
    after = fit(maps)[how]
    constants, same = after.fold_constants[1], before.fold_constants[1]
    assert constants.map_mean == pytest.approx(same.map_mean, rel=1e-3)
    assert constants.map_inv_std == pytest.approx(same.map_inv_std, rel=1e-2)
    assert after.references[1].shape == (12 * 2, before.statistics.shape[1])
    assert after.references[1] == pytest.approx(before.references[1], rel=1e-3, abs=1e-3)


def test_without_normalisation_a_fold_is_compared_with_the_statistics_of_the_others() -> None:
    found = fit(random_maps(6, 15))[Normalisation.NONE]
    for k, references in enumerate(found.references):
        assert np.array_equal(references, found.statistics[found.fold[found.picture] != k])


def test_a_part_that_differs_scores_high_though_it_is_one_of_the_good() -> None:
    maps = random_maps(1, 30)
    maps[7] *= 2
    scores = fit(maps)[Normalisation.BLOCK].score_parts(WEIGHT, PEAK, SCORING, N_SCALES).score
    assert scores.argmax() == 7
    assert scores[7] > 5 * np.delete(scores, 7).max()


def test_statistics_stand_in_the_order_of_the_pictures_and_their_tiles() -> None:
    maps = random_maps(2, 12, n_tiles=3)
    found = fit(maps)[Normalisation.NONE]
    largest = found.statistics.reshape(12, 3, 2, N_SCALES, 3)[..., 2]
    assert largest == pytest.approx(maps.max(axis=(-2, -1)), rel=1e-3)
    assert found.picture.tolist() == np.repeat(np.arange(12), 3).tolist()


def test_a_part_scores_as_its_worst_tile() -> None:
    picture = np.array([0, 0, 0, 1, 2, 2])
    scores = np.array([1.0, 5, 2, -3, -2, -1])
    assert largest_of_parts(scores, picture).tolist() == [5, -3, -1]


def test_copies_of_the_pictures_score_as_the_pictures() -> None:
    found = fit(random_maps(3, 20, n_tiles=2))[Normalisation.PIXEL]
    some = np.isin(found.picture, [0, 3, 11, 19])
    scores = found.score_parts(WEIGHT, PEAK, SCORING, N_SCALES)
    copies = found.score_others(
        found.statistics[some], found.picture[some], WEIGHT, PEAK, SCORING, N_SCALES
    )
    assert np.array_equal(copies.score, scores.score[[0, 3, 11, 19]])


def test_held_out_parts_are_exchangeable_with_new_ones() -> None:
    """Scores by others' constants have the level of new parts' scores by all constants."""
    maps = random_maps(4, 80)
    old, new = fit(maps[:40])[Normalisation.BLOCK], fit(maps)[Normalisation.BLOCK]
    held_out = old.score_parts(WEIGHT, PEAK, SCORING, N_SCALES).score
    fresh = new.score_parts(WEIGHT, PEAK, SCORING, N_SCALES).score[40:]
    error = np.hypot(held_out.std(), fresh.std()) / np.sqrt(40)
    assert abs(held_out.mean() - fresh.mean()) < 3 * error
