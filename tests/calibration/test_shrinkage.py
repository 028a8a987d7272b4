"""Ledoit-Wolf shrinkage against scikit-learn, and where it must not fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf

from edgeinspect.calibration.shrinkage import shrunk_covariance, shrunk_precision


def samples(seed: int, n: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, size)) @ rng.normal(size=(size, size)) + rng.normal(size=size)


@given(seed=st.integers(0, 1000), n=st.integers(3, 60), size=st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_covariance_and_shrinkage_are_those_of_scikit_learn(seed: int, n: int, size: int) -> None:
    data = samples(seed, n, size)
    expected, expected_shrinkage = ledoit_wolf(data)
    covariance, shrinkage = shrunk_covariance(data)
    assert shrinkage == pytest.approx(expected_shrinkage, rel=1e-6, abs=1e-9)
    assert covariance == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_precision_is_the_inverse_of_the_covariance() -> None:
    data = samples(0, 30, 8)
    product = shrunk_precision(data) @ shrunk_covariance(data)[0]
    assert product == pytest.approx(np.eye(8), abs=1e-3)  # the ridge is 1e-6 of the mean variance


def test_precision_is_finite_for_fewer_samples_than_statistics() -> None:
    data = np.repeat(samples(1, 10, 1), 36, axis=1)
    precision = shrunk_precision(data)
    assert np.isfinite(precision).all()
    assert np.linalg.eigvalsh(precision).min() > 0


def test_precision_of_samples_that_never_vary_is_the_identity() -> None:
    assert np.array_equal(shrunk_precision(np.ones((10, 4))), np.eye(4))
