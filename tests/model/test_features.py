"""Feature targets: cells in their tokens, whitening, and error maps where the difference is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.model.features import (
    CHANNEL_FLOOR_SHARE,
    VARIANCE_FLOOR_SHARE,
    FeatureTargets,
    Moments,
    Whitening,
    fold_cells,
    unfold_cells,
)
from tests.model.settings import small_features

ROUNDING = 1e-4  # FP32 products of whitened features
FLOOR = 0.05  # from identity: VARIANCE_FLOOR_SHARE over the least eigenvalue of a correlation
SIDES, CELLS = st.integers(1, 5), st.integers(1, 4)


def numbered(side: int, width: int = 1) -> torch.Tensor:
    """Cells (2, side * side, width), each number once."""
    return torch.arange(2.0 * side**2 * width).reshape(2, side**2, width)


@given(n_side=SIDES, k=CELLS)
def test_unfolded_cells_are_the_map_that_was_folded(n_side, k):
    cells = numbered(n_side * k)
    maps = unfold_cells(fold_cells(cells, n_side)[:, None], n_side, k)
    assert torch.equal(maps, cells.reshape(2, 1, n_side * k, n_side * k))


@given(n_side=SIDES, k=CELLS, width=st.integers(1, 3))
def test_folding_keeps_each_cell_in_its_own_token(n_side, k, width):
    cells, side = numbered(n_side * k, width), n_side * k
    tokens = fold_cells(cells, n_side)
    for row in range(n_side):
        for column in range(n_side):
            inside = [
                cells[:, (row * k + y) * side + column * k + x] for y in range(k) for x in range(k)
            ]
            assert torch.equal(tokens[:, row * n_side + column], torch.cat(inside, dim=1))


@given(side=SIDES, k=CELLS, width=st.integers(1, 3))
def test_a_coarse_cell_is_repeated_in_every_token_it_covers(side, k, width):
    cells, n_side = numbered(side, width), side * k
    tokens = fold_cells(cells, n_side)
    for token in range(n_side**2):
        row, column = divmod(token, n_side)
        assert torch.equal(tokens[:, token], cells[:, row // k * side + column // k])


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
    whiten.set(moments)
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


@pytest.fixture(scope="module")
def targets():
    """Four cells a token, one a token, and one of four tokens."""
    torch.manual_seed(0)
    return FeatureTargets(small_features(strides=(4, 8, 16)))


def test_a_token_is_described_by_every_level(targets):
    fine, same, coarse = targets.backbone.channels
    assert targets.widths == [4 * fine, same, coarse]
    assert targets(torch.rand(2, 3, 64, 64)).shape == (2, 64, targets.width)


def test_targets_are_whitened_by_the_images_they_were_fitted_to():
    torch.manual_seed(0)
    targets = FeatureTargets(small_features(strides=(8,)))
    images = torch.rand(12, 3, 64, 64)
    targets.fit(images.split(5))
    features = targets(images).flatten(0, 1)
    assert features.mean(dim=0).abs().max() < ROUNDING
    assert features.square().mean() == pytest.approx(1, abs=0.1)  # what the floor takes


def test_error_maps_are_0_where_every_feature_was_reconstructed(targets):
    features = torch.randn(2, 64, targets.width)
    maps = targets.error_maps(features, features[:, None].expand(-1, 2, -1, -1))
    assert maps.shape == (2, 3, 2, 64, 64)  # (B, L, I, H, W)
    assert not maps.any()


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_token_that_differs_lights_up_at_its_place(targets, level):
    features = torch.randn(2, 64, targets.width)
    recons = features[:, None].repeat(1, 2, 1, 1)
    first = sum(targets.widths[:level])
    recons[1, 0, 8 * 5 + 2, first : first + targets.widths[level]] += 1  # row 5, column 2
    maps = targets.error_maps(features, recons)
    place = maps[1, level, 0].argmax()
    assert (place // 64 // 8, place % 64 // 8) == (5, 2)
    assert 0.5 < maps[1, level, 0].max() <= 1 + ROUNDING  # neighbours share in what is enlarged
    maps[1, level, 0] = 0
    assert not maps.any()


def test_a_fine_cell_lights_up_within_its_token(targets):
    features = torch.zeros(1, 64, targets.width)
    recons, n = features[:, None].clone(), targets.backbone.channels[0]
    recons[0, 0, 0, 2 * n : 3 * n] = 1  # of the first token the cell below left
    place = targets.error_maps(features, recons)[0, 0, 0].argmax()
    assert (place // 64 // 4, place % 64 // 4) == (1, 0)
