"""Distances to wandering lines, against the definition."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeinspect.data.synthetic.paths import path_field, wandering_path

ROUNDING_PX = 1e-3  # distances are kept as float32


def plain_distance(points: NDArray[np.float64], pixel: tuple[int, int]) -> float:
    """Distance of a pixel (x, y) to the nearest of many points along the line."""
    along = [a + (b - a) * t for a, b in itertools.pairwise(points) for t in np.linspace(0, 1, 400)]
    return float(np.hypot(*(np.array(along) - pixel).T).min())


@given(st.integers(0, 1000), st.floats(0, 1))
@settings(max_examples=15)
def test_distances_are_those_to_the_nearest_point_of_the_line(seed: int, pull: float) -> None:
    rng = np.random.default_rng(seed)
    path = wandering_path(rng, 20, wander_rad=0.4, step_px=4, pull=pull)
    field = path_field(path, margin_px=6)
    moved = path - (path.min(axis=0) - 6)
    y, x = np.argwhere(np.isfinite(field.distance_px))[rng.integers(40)]
    # The points of the definition lie 0.01 px apart.
    assert abs(field.distance_px[y, x] - plain_distance(moved, (x, y))) < 0.01 + ROUNDING_PX


def test_pixels_beyond_the_margin_are_infinitely_far() -> None:
    field = path_field(np.array([[0.0, 0.0], [30.0, 30.0]]), margin_px=4)
    assert np.isinf(field.distance_px[0, -1])
    assert field.distance_px[np.isfinite(field.distance_px)].max() <= 4


def test_position_runs_from_start_to_end_and_sides_differ() -> None:
    field = path_field(np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]]), margin_px=3)
    assert np.allclose(field.position[3, 3:24], np.linspace(0, 1, 21))
    assert (field.side[1, 3:24] == -field.side[5, 3:24]).all()


@given(st.integers(0, 1000), st.floats(5, 200))
def test_a_path_is_as_long_as_asked_for(seed: int, length_px: float) -> None:
    path = wandering_path(np.random.default_rng(seed), length_px, wander_rad=0.3, step_px=3)
    steps = np.hypot(*np.diff(path, axis=0).T)
    assert np.isclose(steps.sum(), length_px)
    assert not path[0].any()
