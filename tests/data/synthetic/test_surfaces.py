"""Surfaces: reproducible, well exposed, and textured as their finish is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeinspect.data.synthetic.surfaces import Finish, draw_surface, render_surface

LUMINANCE = (0.299, 0.587, 0.114)


def rendered(finish: Finish, seed: int, size_px: int = 96) -> NDArray[np.uint8]:
    surface = draw_surface(finish, np.random.default_rng(0))
    return render_surface(surface, np.random.default_rng(seed), size_px)


def roughness(grey: NDArray[np.float64]) -> tuple[float, float]:
    """Mean absolute difference of neighbours (down, across)."""
    return float(np.abs(np.diff(grey, axis=0)).mean()), float(np.abs(np.diff(grey, axis=1)).mean())


@pytest.mark.parametrize("finish", list(Finish))
def test_a_seed_gives_the_same_part_and_the_next_seed_another(finish: Finish) -> None:
    assert np.array_equal(rendered(finish, 1), rendered(finish, 1))
    assert not np.array_equal(rendered(finish, 1), rendered(finish, 2))


@pytest.mark.parametrize("size_px", [32, 77, 128])
@pytest.mark.parametrize("finish", list(Finish))
def test_any_size_can_be_rendered(finish: Finish, size_px: int) -> None:
    part = rendered(finish, 0, size_px)
    assert part.shape == (size_px, size_px, 3)
    assert part.dtype == np.uint8


@pytest.mark.parametrize("finish", list(Finish))
def test_parts_are_metal_grey_and_neither_black_nor_burnt_out(finish: Finish) -> None:
    part = rendered(finish, 0, 128)
    assert 70 < part.mean() < 190
    assert np.mean((part <= 2) | (part >= 253)) < 0.01
    assert np.ptp(part.reshape(-1, 3).mean(axis=0)) < 12


@pytest.mark.parametrize("finish", [Finish.BRUSHED, Finish.ROLLED])
def test_streaks_run_across(finish: Finish) -> None:
    down, across = roughness(rendered(finish, 0, 256) @ LUMINANCE)
    assert down > 1.2 * across


def test_a_casting_is_rough_in_every_direction() -> None:
    down, across = roughness(rendered(Finish.CAST, 0, 256) @ LUMINANCE)
    assert 0.6 < down / across < 1.7
    assert min(down, across) > 3


def test_tool_marks_follow_circles_around_the_axis() -> None:
    surface = draw_surface(Finish.MACHINED, np.random.default_rng(0))
    grey = render_surface(surface, np.random.default_rng(1), 256) @ LUMINANCE
    y, x = np.mgrid[:256, :256]
    ring = np.hypot(y / 256 - surface.centre[0], x / 256 - surface.centre[1]) * 256
    detail = grey - np.array([[grey[max(0, i - 4) : i + 5].mean()] for i in range(256)])
    near = (np.abs(y / 256 - surface.centre[0]) < 0.3) & (ring > 20)
    by_ring = np.bincount(ring[near].astype(int), detail[near]) / np.maximum(
        np.bincount(ring[near].astype(int)), 1
    )
    by_row = np.bincount(y[near], detail[near]) / np.maximum(np.bincount(y[near]), 1)
    assert np.abs(np.diff(by_ring[25:100])).mean() > 2 * np.abs(np.diff(by_row[100:150])).mean()


def test_parts_of_one_surface_look_alike_and_differ_in_texture() -> None:
    means = [float(rendered(Finish.ROLLED, seed).mean()) for seed in range(6)]
    assert 1 < max(means) - min(means) < 30
