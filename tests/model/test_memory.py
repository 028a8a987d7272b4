"""The memory: the nearest good feature, what is remembered, and the unit of its distances."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.config import MOST_CELLS, GeneratorConfig
from edgeinspect.model import memory as memory_module
from edgeinspect.model.memory import WEIGHT, FeatureMemory
from tests.model.settings import small_features

ROUNDING = 1e-4
CHANNELS = (3, 2)


def memory(n: int = 20, strides: tuple[int, ...] = (8, 16)) -> FeatureMemory:
    return FeatureMemory(small_features(strides=strides, feature_memory=n), CHANNELS, 64)


def levels(n: int = 4, seed: int = 0, sides: tuple[int, ...] = (8, 4)) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [
        torch.randn(n, c, side, side, generator=rng)
        for c, side in zip(CHANNELS, sides, strict=True)
    ]


@given(n_cells=st.integers(1, 60), seed=st.integers(0, 9))
def test_a_distance_is_that_to_the_nearest_remembered_feature(n_cells, seed):
    found = memory()
    found.remember(torch.randn(n_cells, 5, generator=torch.Generator().manual_seed(seed)))
    cells = found.whiten(found.cells_of(levels(seed=seed)))
    expected = torch.cdist(cells, found.cells[None], compute_mode="donot_use_mm_for_euclid_dist")
    assert found(levels(seed=seed)) == pytest.approx(expected.amin(dim=-1), abs=1e-2, rel=ROUNDING)


def test_what_is_remembered_is_no_distance_away():
    found, seen = memory(n=64), levels(n=4)
    found.remember(found.cells_of(seen).flatten(0, 1))
    assert found(seen).max() < 1e-2  # of squares that cancel


def test_few_features_are_all_remembered():
    found, cells = memory(n=20), torch.randn(6, 5)
    found.remember(cells)
    kept, given = ({tuple(row) for row in c.tolist()} for c in (found.cells, found.whiten(cells)))
    assert kept == given


def test_of_many_the_rare_ones_are_remembered():
    cells = torch.cat([torch.randn(5000, 5) * 0.1, torch.full((1, 5), 9.0)])
    found = memory(n=4)
    found.remember(cells)
    assert (found.cells == found.whiten(cells[-1])).all(dim=1).any()


def test_of_too_many_every_column_of_the_grid_is_remembered(monkeypatch):
    monkeypatch.setattr(memory_module, "MOST_CELLS", 64)
    column = torch.arange(128) % 8
    found, cells = memory(n=20), torch.nn.functional.one_hot(column).float() @ torch.randn(8, 5)
    found.remember(cells)
    assert len(found.cells.unique(dim=0)) == 8


def test_a_loud_direction_does_not_decide_alone_what_is_near():
    cells = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0))
    cells[:, 0] *= 100
    found = memory(n=20)
    found.remember(cells)
    spread = found.cells.std(dim=0)
    assert spread.max() < 2 * spread.min()


def test_the_middle_levels_are_compared_on_the_grid_of_the_deeper_one():
    config = small_features(strides=(8, 16, 32), feature_memory=5)
    found = FeatureMemory(config, (3, 2, 7), 64)
    assert (found.width, found.n_side) == (5, 4)


def test_a_backbone_with_deep_levels_alone_is_compared_there():
    config = dataclasses.replace(small_features(), feature_strides=(32,), feature_window=1)
    assert FeatureMemory(config, (7,), 64).width == 7


def test_on_good_parts_the_distance_varies_as_much_as_the_other_times_its_weight():
    found, held_out = memory(), levels(n=16, seed=1)
    found.remember(found.cells_of(levels()).flatten(0, 1))
    other = torch.from_numpy(np.random.default_rng(0).gamma(2.0, 3.0, (16, 9)).astype(np.float32))
    found.scale(held_out, like=other)

    def spread(distances: torch.Tensor) -> torch.Tensor:
        return (distances - distances.median(dim=0).values).abs().median()

    assert float(spread(found(held_out))) == pytest.approx(
        float(WEIGHT * spread(other)), rel=ROUNDING
    )


@pytest.mark.parametrize("n", [1, 2])
def test_of_one_or_two_held_out_images_the_unit_is_that_of_their_places(n: int):
    found, other = memory(), 100 * torch.rand(n, 9)
    found.remember(found.cells_of(levels()).flatten(0, 1))
    units = []
    for loudness in (1, 10):
        found.scale(levels(n=n, seed=1), like=loudness * other)
        units.append(float(found.unit))
    assert units[0] == pytest.approx(10 * units[1])


def test_without_variation_distances_stay_finite():
    found = memory()
    found.remember(torch.zeros(5, 5))
    found.scale([torch.zeros(3, 3, 8, 8), torch.zeros(3, 2, 4, 4)], like=torch.zeros(3, 9))
    assert found(levels()).isfinite().all()


def test_without_a_memory_every_distance_is_0():
    found = memory(n=0)
    found.remember(torch.randn(5, 5))
    found.scale(levels(), like=torch.rand(4, 9))
    assert not found(levels()).any()


def test_the_default_remembers():
    assert GeneratorConfig().feature_memory > 0


@pytest.mark.parametrize(
    ("size", "n_images", "n_copies"),
    [(256, 1, 3), (256, 292, 3), (256, 293, 2), (256, 1171, 0), (384, 256, 1), (512, 146, 1)],
)
def test_copies_are_shifted_by_half_a_cell_as_long_as_all_can_be_remembered(
    size, n_images, n_copies
):
    found = FeatureMemory(small_features(), (3, 2), size)
    images = torch.rand(2, 3, size, size)
    copies = list(found.shifted(images, n_images))
    assert len(copies) == n_copies
    for copy, (down, across) in zip(copies, [(8, 8), (0, 8), (8, 0)], strict=False):
        assert torch.equal(copy[..., down:, across:], images[..., : size - down, : size - across])
        assert torch.equal(copy[..., 0, 0], images[..., 0, 0])
    n_cells = (1 + n_copies) * n_images * found.n_side**2
    assert n_cells <= MOST_CELLS, "features are left out by chance, and defects with them"


def test_without_a_memory_nothing_is_shifted():
    found = FeatureMemory(small_features(feature_memory=0), (3, 2, 7), 64)
    assert not list(found.shifted(torch.rand(1, 3, 64, 64), 1))
