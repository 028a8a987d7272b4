"""Splits keep neighbours together and every item in exactly one place."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.data.splits import neighbour_folds, split_neighbours, spread_places

counts = st.integers(0, 200)
shares = st.floats(0, 0.9)


@given(counts, st.integers(1, 12))
def test_folds_are_contiguous_and_of_almost_equal_length(n: int, k: int) -> None:
    folds = neighbour_folds(n, k)
    assert len(folds) == n
    assert (np.diff(folds) >= 0).all()
    lengths = np.bincount(folds, minlength=min(n, k))
    assert len(lengths) == min(n, k)
    assert n == 0 or lengths.max() - lengths.min() <= 1


@given(counts, shares)
def test_a_split_keeps_every_item_once_and_in_order(n: int, share: float) -> None:
    kept, held_out = split_neighbours(range(n), share)
    assert sorted(kept + held_out) == list(range(n))
    assert kept == sorted(kept)
    assert held_out == sorted(held_out)


@given(st.integers(2, 200), st.floats(0.01, 0.9))
def test_a_split_holds_out_the_share_that_was_asked_for(n: int, share: float) -> None:
    kept, held_out = split_neighbours(range(n), share)
    assert kept
    assert held_out
    assert abs(len(held_out) - share * n) <= 1


@given(counts, shares)
def test_held_out_items_come_in_at_most_five_runs(n: int, share: float) -> None:
    held_out = split_neighbours(range(n), share)[1]
    assert int((np.diff(held_out) > 1).sum()) < 5


def test_runs_are_spread_over_the_whole_list() -> None:
    held_out = split_neighbours(range(100), 0.2)[1]
    assert held_out == [
        *range(8, 12),
        *range(28, 32),
        *range(48, 52),
        *range(68, 72),
        *range(88, 92),
    ]


def test_a_share_of_nothing_holds_out_nothing() -> None:
    assert split_neighbours("abc", 0.0) == (["a", "b", "c"], [])


def test_a_single_item_is_kept() -> None:
    assert split_neighbours("a", 0.5) == (["a"], [])


@given(st.integers(1, 1000), st.integers(2, 64))
def test_spread_places_are_apart_alike_from_the_first_to_the_last(n: int, most: int) -> None:
    places = spread_places(n, most)
    assert len(set(places.tolist())) == len(places) == min(n, most)
    assert (places[0], places[-1]) == (0, n - 1)
    assert n == 1 or np.ptp(np.diff(places)) <= 1
