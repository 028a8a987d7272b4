"""Made error maps of good parts, and what their thresholds reject."""

from __future__ import annotations

import numpy as np

from benchmarks.asked_and_got import SIZE, MadePart, measure


def test_maps_are_those_of_one_part_each_time_others() -> None:
    rng = np.random.default_rng(0)
    part = MadePart.draw(rng)
    maps = part.maps(rng, 200)[:, 0, 0]
    assert maps.shape == (200, SIZE, SIZE)
    assert maps.min() > 0
    usual = np.corrcoef(np.median(maps, axis=0).ravel(), part.usual.ravel())[0, 1]
    assert usual > 0.99
    assert len(np.unique(maps.reshape(200, -1)[:, 0])) == 200


def test_further_good_parts_are_rejected_less_than_asked_for_and_not_never() -> None:
    row = measure(20, 0.05, repeats=60)
    assert row["got"] < 0.05 + 2 * row["standard_error"]
    assert row["got"] > 0.01


def test_a_row_comes_out_the_same_again() -> None:
    first, second = (measure(20, 0.2, repeats=2) for _ in range(2))
    assert first == second
