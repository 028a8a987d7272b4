"""Feature targets: every level in its tokens, whitening, and error maps where the difference is."""

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
    window_mean,
)
from edgeinspect.model.tokens import to_tokens
from tests.model.settings import small_features

ROUNDING = 1e-4  # FP32 products of whitened features
FLOOR = 0.05  # from identity: VARIANCE_FLOOR_SHARE over the least eigenvalue of a correlation
SIDES, CELLS = st.integers(1, 5), st.integers(1, 4)


def numbered(side: int, width: int) -> torch.Tensor:
    """A level (2, width, side, side), each number once."""
    return torch.arange(2.0 * width * side**2).reshape(2, width, side, side)


@given(n_side=SIDES, k=CELLS, width=st.integers(1, 3))
def test_a_token_of_a_finer_level_is_the_mean_of_its_own_cells(n_side, k, width):
    level = numbered(n_side * k, width)
    tokens = to_tokens(level, n_side)
    for token in range(n_side**2):
        row, column = (k * place for place in divmod(token, n_side))
        cells = level[:, :, row : row + k, column : column + k]
        assert torch.allclose(tokens[:, token], cells.mean(dim=(2, 3)))


@given(side=SIDES, k=CELLS, width=st.integers(1, 3))
def test_a_cell_of_a_coarser_level_is_repeated_in_every_token_it_covers(side, k, width):
    level, n_side = numbered(side, width), side * k
    tokens = to_tokens(level, n_side)
    for token in range(n_side**2):
        row, column = divmod(token, n_side)
        assert torch.equal(tokens[:, token], level[:, :, row // k, column // k])


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


@given(side=SIDES, width=st.integers(1, 3), reach=st.integers(0, 2))
def test_a_window_is_the_mean_of_the_cells_that_exist(side, width, reach):
    level = numbered(side, width)
    means = window_mean(level, 2 * reach + 1)
    for row in range(side):
        for column in range(side):
            rows = slice(max(0, row - reach), row + reach + 1)
            columns = slice(max(0, column - reach), column + reach + 1)
            mean = level[:, :, rows, columns].mean(dim=(2, 3))
            assert torch.allclose(means[:, :, row, column], mean)


@pytest.fixture(scope="module")
def targets():
    """Levels of four cells a token, of one, and of one to four tokens."""
    torch.manual_seed(0)
    return FeatureTargets(small_features(strides=(4, 8, 16)))


def test_a_token_is_described_by_the_channels_of_every_level(targets):
    assert targets.width == sum(targets.backbone.channels)
    assert targets(torch.rand(2, 3, 64, 64)).shape == (2, 64, targets.width)


def test_levels_stand_one_behind_the_other(targets):
    images = torch.rand(2, 3, 64, 64)
    level = targets.backbone(images)[1]  # a cell a token; nothing was fitted yet
    level = window_mean(level, targets.window)
    first = targets.backbone.channels[0]
    found = targets(images)[..., first : first + level.shape[1]]
    assert torch.allclose(found, level.flatten(2).mT, atol=ROUNDING)


def test_targets_are_whitened_by_the_images_they_were_fitted_to():
    torch.manual_seed(0)
    targets = FeatureTargets(small_features(strides=(8, 16)))
    images = torch.rand(12, 3, 64, 64)
    targets.fit(images.split(5), [torch.rand(4, 3, 64, 64)])
    features = targets(images).flatten(0, 1)
    assert features.mean(dim=0).abs().max() < ROUNDING
    assert 0.9 < features.square().mean() < 1.001  # what the floor takes


def without_memory() -> FeatureTargets:
    torch.manual_seed(0)
    return FeatureTargets(small_features(strides=(4, 8, 16), feature_memory=0))


def test_error_maps_are_0_where_every_feature_was_reconstructed():
    targets, images = without_memory(), torch.rand(2, 3, 64, 64)
    maps = targets.error_maps(images, targets(images)[:, None].expand(-1, 3, -1, -1))
    assert maps.shape == (2, 1, 3, 64, 64)  # (B, 1, I, H, W), one measure of all levels
    assert not maps.any()


def test_a_token_that_differs_lights_up_at_its_place_alone():
    targets, images = without_memory(), torch.rand(2, 3, 64, 64)
    recons = targets(images)[:, None].repeat(1, 2, 1, 1)
    recons[1, 0, 8 * 5 + 2] += 1  # row 5, column 2
    maps = targets.error_maps(images, recons)
    place = maps[1, 0, 0].argmax()
    assert (place // 64 // 8, place % 64 // 8) == (5, 2)
    assert 0.5 < maps[1, 0, 0].max() <= 1 + ROUNDING  # neighbours share in what is enlarged
    maps[1, 0, 0] = 0
    assert not maps.any()


def test_what_is_not_remembered_lights_up_at_every_scale(targets):
    good = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    targets.fit(good.split(3), [good.flip(3)])
    images = good[:1].clone()
    images[..., 32:, 32:] = 1.0  # white
    maps = targets.error_maps(images, targets(images)[:, None].expand(-1, 3, -1, -1))
    assert torch.equal(maps[:, :, 0], maps[:, :, 1])
    quarters = maps[0, 0, 0].unflatten(0, (2, 32)).unflatten(2, (2, 32)).mean(dim=(1, 3))
    assert quarters.argmax() == 3
