"""Whitening: unit variance in every direction, Mahalanobis distances, floors, and shares of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeinspect.model.whitening import (
    CHANNEL_FLOOR_SHARE,
    VARIANCE_FLOOR_SHARE,
    Moments,
    Whitening,
)

ROUNDING = 1e-4  # FP32 products of whitened features
FLOOR = 0.05  # from identity: VARIANCE_FLOOR_SHARE over the least eigenvalue of a correlation


def correlated(n: int = 4000, width: int = 5) -> torch.Tensor:
    """A Gaussian sample whose channels differ in mean and loudness, and depend on each other."""
    rng = np.random.default_rng(0)
    mixing = np.eye(width) + 0.3 * rng.normal(size=(width, width))
    sample = rng.normal(size=(n, width)) @ mixing * np.logspace(-1, 0.5, width)
    return torch.from_numpy(sample + 3).float()


def fitted(features: torch.Tensor) -> Whitening:
    whiten, moments = Whitening(features.shape[1]), Moments(features.shape[1])
    for batch in features.split(999):
        moments.add(batch)
    whiten.set(moments.mean(), moments.covariance())
    return whiten


def test_whitened_features_have_no_mean_and_variance_1_in_every_direction():
    features = correlated()
    whitened = fitted(features)(features).double().numpy()
    assert np.abs(whitened.mean(axis=0)).max() < ROUNDING
    assert np.abs(np.cov(whitened.T) - np.eye(5)).max() < FLOOR


def test_a_whitened_distance_is_mahalanobis_with_a_floor():
    features = correlated()
    whiten = fitted(features)
    covariance = np.cov(features.double().numpy().T, bias=True)
    floored = covariance + VARIANCE_FLOOR_SHARE * np.diag(covariance.diagonal())
    offsets = (features[:100] - features.mean(dim=0)).double().numpy()
    expected = np.einsum("ni,ij,nj->n", offsets, np.linalg.inv(floored), offsets)
    found = whiten(features[:100]).square().sum(dim=1).numpy()
    assert found == pytest.approx(expected, rel=ROUNDING)


def test_moments_of_batches_are_those_of_all():
    features, moments = correlated(), Moments(5)
    for batch in features.split(333):
        moments.add(batch)
    assert moments.mean().numpy() == pytest.approx(features.double().mean(dim=0).numpy())
    expected = np.cov(features.double().numpy().T, bias=True)
    assert moments.covariance().numpy() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, 1000.3])
def test_a_channel_that_good_parts_leave_constant_does_not_outweigh_the_others(value):
    features = torch.randn(4000, 4, generator=torch.Generator().manual_seed(0))
    features[:, 2] = value
    whiten = fitted(features)
    assert whiten(features).abs().max() < 10
    features[:, 2] += 1
    assert whiten(features).abs().max() < 2 / CHANNEL_FLOOR_SHARE**0.5


@pytest.mark.parametrize("value", [0.0, 1000.3])
def test_features_that_are_all_constant_stay_finite(value):
    features = torch.full((100, 3), value)
    assert fitted(features)(features).isfinite().all()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_whitening_is_a_power_of_the_variance(share):
    features = correlated()
    covariance = torch.from_numpy(np.cov(features.double().numpy().T, bias=True))
    whiten = Whitening(5)
    whiten.set(features.mean(dim=0), covariance, share=share)
    spread = covariance.diagonal().sqrt()
    usual = torch.linalg.eigvalsh(covariance / spread[:, None] / spread).numpy()
    variance = whiten(features).double().var(dim=0).numpy()
    assert np.sort(variance) == pytest.approx(np.sort(usual ** (1 - share)), rel=FLOOR)
