"""Feature targets: every level in its tokens, whitening, and error maps where the difference is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.model.features import FeatureTargets, window_mean
from edgeinspect.model.tokens import to_tokens
from tests.model.settings import small_features

ROUNDING = 1e-4  # FP32 products of whitened features
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
    targets.fit(images.split(5), [torch.rand(4, 3, 64, 64)], n_images=12)
    features = targets(images).flatten(0, 1)
    assert features.mean(dim=0).abs().max() < ROUNDING
    assert 0.9 < features.square().mean() < 1.001  # what the floor takes


def without_memory() -> FeatureTargets:
    torch.manual_seed(0)
    return FeatureTargets(small_features(strides=(4, 8, 16), feature_memory=0))


def test_error_maps_are_0_where_every_feature_was_reconstructed():
    targets, images = without_memory(), torch.rand(2, 3, 64, 64)
    maps = targets.error_maps(images, targets(images)[:, None].expand(-1, 3, -1, -1))
    assert maps.shape == (2, 2, 3, 64, 64)  # (B, K, I, H, W), features and whole
    assert not maps[:, 0].any()


def test_a_token_that_differs_lights_up_at_its_place_alone():
    targets, images = without_memory(), torch.rand(2, 3, 64, 64)
    recons = targets(images)[:, None].repeat(1, 2, 1, 1)
    recons[1, 0, 8 * 5 + 2] += 1  # row 5, column 2
    maps = targets.error_maps(images, recons)
    place = maps[1, 0, 0].argmax()
    assert (place // 64 // 8, place % 64 // 8) == (5, 2)
    assert 0.5 < maps[1, 0, 0].max() <= 1 + ROUNDING  # neighbours share in what is enlarged
    maps[1, 0, 0] = 0
    assert not maps[:, 0].any()


def test_the_distance_of_the_whole_is_the_same_all_over_its_image():
    targets, images = without_memory(), torch.rand(2, 3, 64, 64)
    maps = targets.error_maps(images, targets(images)[:, None].expand(-1, 3, -1, -1))[:, 1]
    assert (maps == maps[:, :1, :1, :1]).all()
    assert maps[0, 0, 0, 0] != maps[1, 0, 0, 0]


def test_what_is_not_remembered_lights_up_at_every_scale(targets):
    good = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    targets.fit(good.split(3), [good.flip(3)], n_images=6)
    images = good[:1].clone()
    images[..., 32:, 32:] = 1.0  # white
    maps = targets.error_maps(images, targets(images)[:, None].expand(-1, 3, -1, -1))
    assert torch.equal(maps[:, :, 0], maps[:, :, 1])
    quarters = maps[0, 0, 0].unflatten(0, (2, 32)).unflatten(2, (2, 32)).mean(dim=(1, 3))
    assert quarters.argmax() == 3


def of_two_sizes() -> FeatureTargets:
    torch.manual_seed(0)
    return FeatureTargets(small_features(strides=(8, 16), feature_octaves=2))


def test_tokens_are_those_of_the_smallest_size():
    targets, images = of_two_sizes(), torch.rand(2, 3, 64, 64)
    halves = images.unflatten(2, (32, 2)).unflatten(4, (32, 2)).mean(dim=(3, 5))
    levels = [window_mean(level, targets.window) for level in targets.backbone(halves)]
    expected = torch.cat([to_tokens(level, 8) for level in levels], dim=-1)
    assert torch.allclose(targets(images), expected, atol=ROUNDING)


def test_every_size_has_a_memory_that_fits_it_and_the_whole_is_of_all():
    targets = of_two_sizes()
    assert [memory.n_side for memory in targets.memories] == [4, 2]
    assert targets.most_images == targets.memories[0].most_images  # the largest has most cells
    assert targets.whole.whiten.mean.shape == (2 * targets.width,)


def test_distances_to_the_memories_of_all_sizes_are_added():
    targets, good = of_two_sizes(), torch.rand(6, 3, 64, 64)
    targets.fit(good.split(3), [torch.rand(4, 3, 64, 64)], n_images=6)
    images = torch.rand(2, 3, 64, 64)

    def maps() -> torch.Tensor:
        recons = targets(images)[:, None].expand(-1, 3, -1, -1)
        return targets.error_maps(images, recons)[:, 0]

    both, units = maps(), [memory.unit.clone() for memory in targets.memories]
    alone = []
    for place, unit in enumerate(units):
        targets.memories[1 - place].unit.fill_(torch.inf)
        alone.append(maps())
        targets.memories[1 - place].unit.copy_(units[1 - place])
        assert unit != 1
    assert all((one > 0).any() for one in alone)
    assert torch.allclose(both, alone[0] + alone[1], atol=ROUNDING)


def test_each_memory_varies_on_good_parts_as_much_as_the_other():
    targets, good = of_two_sizes(), torch.rand(9, 3, 64, 64)
    others = torch.rand(5, 3, 64, 64)
    targets.fit([good], [others], n_images=9)
    spreads = []
    for memory, images in zip(targets.memories, (others, F.avg_pool2d(others, 2)), strict=True):
        levels = [window_mean(level, targets.window) for level in targets.backbone(images)]
        distances = memory(levels)
        spreads.append((distances - distances.median(dim=0).values).abs().median())
    assert spreads[0].item() == pytest.approx(spreads[1].item(), rel=1e-3)
