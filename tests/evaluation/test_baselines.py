"""Trivial scores do what their names say, and the smooth fill never sees its own block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from edgeinspect.config import PreprocessConfig
from edgeinspect.data.tiling import plan_tiles
from edgeinspect.evaluation.baselines import (
    Baseline,
    Equaliser,
    PictureFeatures,
    SmoothFill,
    score_baselines,
)
from tests.bundles import bad_picture, good_picture

SIZE, PATCH = 64, 8
FLOAT32 = 1e-5  # relative: sums of a few thousand float32 terms
FILL = SmoothFill(size=SIZE, patch=PATCH, mask_scales=(1, 2, 4))


def features_of(picture: NDArray[np.uint8]) -> PictureFeatures:
    grid = plan_tiles(picture.shape[:2], PreprocessConfig(size=SIZE))
    return PictureFeatures.of(picture, grid, FILL)


def random_picture(seed: int, shape: tuple[int, int] = (64, 64)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)


def naive_fill(image: NDArray[np.float32], block_px: int, row: int, column: int) -> float:
    """The fill of one pixel, by a loop over every pixel that its complement leaves visible."""
    total = weights = 0.0
    parity = (row // block_px + column // block_px) % 2
    for y in range(SIZE):
        for x in range(SIZE):
            if (y // block_px + x // block_px) % 2 != parity:
                weight = np.exp(-12 * (abs(y - row) + abs(x - column)) / block_px)
                total, weights = total + weight * image[y, x], weights + weight
    return total / weights


@pytest.mark.parametrize(("scale", "row", "column"), [(0, 3, 60), (1, 20, 33), (2, 0, 0)])
def test_the_fill_is_the_weighted_mean_of_visible_pixels(scale: int, row: int, column: int) -> None:
    image = np.random.default_rng(scale).random((SIZE, SIZE), dtype=np.float32)
    expected = naive_fill(image, PATCH * 2**scale, row, column)
    assert FILL.fill(image[None])[0, scale, row, column] == pytest.approx(expected, rel=FLOAT32)


@settings(max_examples=20)
@given(st.integers(0, 2), st.integers(0, SIZE - 1), st.integers(0, SIZE - 1), st.integers(0, 999))
def test_a_pixel_has_no_say_in_its_own_block(scale: int, row: int, column: int, seed: int) -> None:
    image = np.random.default_rng(seed).random((SIZE, SIZE), dtype=np.float32)
    changed = image.copy()
    changed[row, column] += 1
    block = PATCH * 2**scale
    top, left = row // block * block, column // block * block
    before, after = (FILL.fill(i[None])[0, scale] for i in (image, changed))
    own = np.s_[top : top + block, left : left + block]
    np.testing.assert_array_equal(before[own], after[own])


@given(st.floats(0, 1, width=32))
def test_a_flat_image_is_filled_without_error(level: float) -> None:
    errors = FILL.errors(np.full((1, SIZE, SIZE), level, np.float32))
    np.testing.assert_allclose(errors, np.zeros((1, 3)), atol=FLOAT32)


def test_the_largest_fill_error_of_all_tiles_counts() -> None:
    picture = good_picture(0, (64, 160))
    picture[20:28, 140:148] = 255
    config = PreprocessConfig(size=SIZE, resize="tile", overlap_px=16)  # type: ignore[arg-type]
    grid = plan_tiles((64, 160), config)
    assert grid.n_tiles == 3
    assert PictureFeatures.of(picture, grid, FILL).fill_errors.max() > 0.4


def test_nearest_and_pca_equal_those_of_scikit_learn() -> None:
    good = [features_of(random_picture(i)) for i in range(70)]
    test = [features_of(random_picture(100 + i)) for i in range(5)]
    scores = score_baselines(test, good)
    small = [[f.small for f in side] for side in (good, test)]
    distance, _ = NearestNeighbors(n_neighbors=1).fit(small[0]).kneighbors(small[1])
    np.testing.assert_allclose(scores[Baseline.NEAREST], distance[:, 0] ** 2, rtol=1e-4)
    pca = PCA(64, svd_solver="full").fit(np.stack([f.medium for f in good]).astype(float))
    medium = np.stack([f.medium for f in test]).astype(float)
    residual = ((medium - pca.inverse_transform(pca.transform(medium))) ** 2).mean(axis=1)
    np.testing.assert_allclose(scores[Baseline.PCA], residual, rtol=1e-4)


def test_mean_and_contrast_are_grey_values_of_the_picture() -> None:
    picture = random_picture(0)
    grey = picture @ np.array([0.299, 0.587, 0.114])
    scores = score_baselines([features_of(picture)], [])
    assert scores[Baseline.MEAN] == pytest.approx([grey.mean()], rel=FLOAT32)
    assert scores[Baseline.CONTRAST] == pytest.approx([grey.std()], rel=FLOAT32)


def test_a_defect_scores_above_good_parts_under_every_one_sided_baseline() -> None:
    good = [features_of(good_picture(i)) for i in range(8)]
    test = [features_of(good_picture(100)), features_of(bad_picture(101))]
    scores = score_baselines(test, good)
    for baseline in (b for b in Baseline if not b.is_two_sided):
        assert scores[baseline][1] > scores[baseline][0], baseline


def test_without_good_pictures_only_mean_and_contrast_are_left() -> None:
    assert set(score_baselines([features_of(good_picture(0))], [])) == {
        Baseline.MEAN,
        Baseline.CONTRAST,
    }


def test_one_good_picture_has_no_spread_for_the_fill() -> None:
    one = [features_of(good_picture(0))]
    scores = score_baselines([features_of(good_picture(1))], one)
    assert Baseline.FILL not in scores
    assert np.isfinite(scores[Baseline.PCA]).all()


PICTURES = hnp.arrays(np.uint8, (16, 16, 3), elements=st.integers(0, 255))


@given(PICTURES)
def test_equalised_pictures_have_the_mean_and_spread_asked_for(picture: NDArray[np.uint8]) -> None:
    equal = Equaliser(mean=120.0, spread=10.0)(picture)
    grey = equal @ np.array([0.299, 0.587, 0.114])
    if not ((equal == 0) | (equal == 255)).any():  # else the clip moves both
        assert grey.mean() == pytest.approx(120, abs=1)
        assert grey.std() == pytest.approx(10, abs=1) or picture.std() < 3


@pytest.mark.parametrize(("side", "level"), [(8, 40), (777, 250)])  # 250 is rounded there
def test_a_picture_of_one_colour_is_only_shifted(side: int, level: int) -> None:
    flat = np.full((side, side, 3), level, np.uint8)
    assert (Equaliser(mean=120.0, spread=10.0)(flat) == 120).all()


def test_levels_beyond_white_are_clipped_rather_than_wrapped() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[0, 0] = 255
    equal = Equaliser(mean=200.0, spread=60.0)(picture)
    assert equal[0, 0, 0] == 255


def test_the_target_is_the_average_of_the_good_pictures() -> None:
    good = [features_of(random_picture(i)) for i in range(3)]
    equaliser = Equaliser.to(good)
    assert equaliser.mean == pytest.approx(np.mean([f.appearance.mean for f in good]))
    assert equaliser.spread == pytest.approx(np.mean([f.appearance.spread for f in good]))
