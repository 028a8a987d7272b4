"""Sets that look alike pass, sets that do not are told apart with the shares that say so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edgeinspect.data.appearance import Appearance, Trait
from edgeinspect.data.shift import chance_of_gap, find_shifts, independent_count


def looks(seed: int, n: int, *, mean: float = 120, gradient: float = 5) -> list[Appearance]:
    rng = np.random.default_rng(seed)
    values = rng.normal((mean, 30, gradient), (4, 2, 0.4), (n, 3)).tolist()
    return [Appearance(mean=m, spread=s, gradient=g) for m, s, g in values]


def test_darker_test_pictures_are_told_with_both_shares() -> None:
    (shift,) = find_shifts(looks(5, 40, mean=105), looks(1, 200))
    assert (shift.trait, shift.gap.is_lower) == (Trait.MEAN, True)
    assert shift.gap.share > 0.9
    assert shift.gap.reference_share < 0.1
    assert 105 < shift.gap.limit < 120


def test_brighter_ones_lie_above() -> None:
    (shift,) = find_shifts(looks(5, 40, mean=135), looks(1, 200))
    assert not shift.gap.is_lower
    assert shift.gap.share > 0.9


def test_the_largest_gap_comes_first() -> None:
    shifts = find_shifts(looks(5, 40, mean=124, gradient=9), looks(1, 200))
    assert [shift.trait for shift in shifts] == [Trait.GRADIENT, Trait.MEAN]


def test_sets_of_one_population_are_hardly_ever_called_different() -> None:
    found = [find_shifts(looks(seed, 40), looks(999 - seed, 200)) for seed in range(100)]
    assert sum(map(bool, found)) <= 1


def test_a_sure_but_small_gap_is_not_told() -> None:
    assert find_shifts(looks(0, 5000, mean=121), looks(1, 5000)) == []


def test_nothing_differs_from_nothing() -> None:
    assert find_shifts([], looks(0, 40)) == find_shifts(looks(0, 40), []) == []


@pytest.mark.parametrize(("n", "m"), [(41, 320), (200, 150), (20, 20)])
@pytest.mark.parametrize("gap", [0.05, 0.2, 0.4, 0.6])
def test_the_chance_of_a_gap_is_that_of_scipy(n: int, m: int, gap: float) -> None:
    first = np.arange(n) / n
    second = np.arange(m) / m + gap  # shifted: its largest gap is about this
    exact = stats.ks_2samp(first, second, method="exact")
    ours = chance_of_gap(exact.statistic, n, m)
    assert ours == pytest.approx(exact.pvalue, rel=0.5, abs=2e-2)
    assert (ours < 0.001) == (exact.pvalue < 0.001) or 0.0005 < exact.pvalue < 0.002


@given(st.floats(0, 1), st.integers(1, 500), st.integers(1, 500))
def test_a_chance_lies_between_0_and_1(gap: float, n: int, m: int) -> None:
    assert 0 <= chance_of_gap(gap, n, m) <= 1


def test_neighbours_that_are_alike_count_for_fewer() -> None:
    rng = np.random.default_rng(0)
    apart = rng.normal(size=4000)
    alike = np.repeat(apart[:1000], 4)  # r = 0.75
    assert independent_count(apart) == pytest.approx(4000, rel=0.1)
    assert independent_count(alike) == pytest.approx(4000 * 0.25 / 1.75, rel=0.1)
    assert independent_count(np.ones(9)) == 9
