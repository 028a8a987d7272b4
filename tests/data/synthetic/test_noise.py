"""Noise fields: of the shape and spread promised, and as smooth as asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeinspect.data.synthetic.noise import fractal_noise, profile_noise, smooth_noise, standardise

SIGMAS = st.floats(0, 60)


@given(st.integers(5, 90), st.integers(5, 90), SIGMAS, SIGMAS)
@example(5, 5, 13.0, 17.0)
@settings(max_examples=50)
def test_noise_has_the_shape_and_spread_promised(
    height: int, width: int, down: float, across: float
) -> None:
    field = smooth_noise(np.random.default_rng(0), (height, width), (down, across))
    assert field.shape == (height, width)
    assert field.std() == pytest.approx(1, abs=1e-3)
    assert field.mean() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("sigma_px", [2.0, 6.0, 20.0])
def test_noise_is_as_smooth_as_its_sigma(sigma_px: float) -> None:
    field = smooth_noise(np.random.default_rng(0), (400, 400), (sigma_px, sigma_px))
    slope = np.diff(field, axis=0).std()
    assert slope == pytest.approx(1 / (np.sqrt(2) * sigma_px), rel=0.35)  # of a blurred white field


def test_unequal_sigmas_give_streaks() -> None:
    field = smooth_noise(np.random.default_rng(0), (128, 128), (0.5, 20.0))
    assert np.diff(field, axis=0).std() > 8 * np.diff(field, axis=1).std()


def test_a_constant_field_becomes_zero() -> None:
    assert not standardise(np.full((4, 4), 3.0, np.float32)).any()


def test_octaves_add_detail() -> None:
    def roughness(n_octaves: int) -> float:
        rng = np.random.default_rng(0)
        field = fractal_noise(rng, (96, 96), coarsest_px=16, n_octaves=n_octaves)
        return float(np.diff(field, axis=0).std())

    assert roughness(4) > 1.5 * roughness(1)


def test_a_profile_has_the_length_asked_for() -> None:
    assert profile_noise(np.random.default_rng(0), 77, 5.0).shape == (77,)
