"""Tiles cover every pixel, overlap as asked, and stitching undoes cutting."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.config import PreprocessConfig, ResizeRule
from edgeinspect.data.tiling import (
    TileGrid,
    choose_resize,
    cut_tiles,
    picture_from_tiles,
    plan_tiles,
    resize_picture,
    stitch_tiles,
)
from edgeinspect.errors import ImageError
from tests.data.picture_files import made_picture

sides = st.integers(16, 700)


@st.composite
def grids(draw: st.DrawFn) -> tuple[TileGrid, int]:
    """(grid, overlap_px) of any picture that a model of 32 or 64 px can cut."""
    size = draw(st.sampled_from([32, 64]))
    overlap_px = draw(st.integers(0, size - 8))
    tile = PreprocessConfig(size=size, resize=ResizeRule.TILE, overlap_px=overlap_px)
    return plan_tiles((draw(sides), draw(sides)), tile), overlap_px


@given(grids())
def test_every_pixel_is_covered_and_no_tile_leaves_the_picture(drawn: tuple[TileGrid, int]) -> None:
    grid, _ = drawn
    for starts, length in zip((grid.tops, grid.lefts), grid.resized_hw, strict=True):
        covered = np.zeros(length, bool)
        for start in starts:
            assert 0 <= start <= length - grid.size
            covered[start : start + grid.size] = True
        assert covered.all()


@given(grids())
def test_neighbours_overlap_and_the_last_tile_is_flush(drawn: tuple[TileGrid, int]) -> None:
    grid, overlap_px = drawn
    for starts, length in zip((grid.tops, grid.lefts), grid.resized_hw, strict=True):
        assert starts[0] == 0
        assert starts[-1] == length - grid.size
        assert all(grid.size - step >= overlap_px for step in np.diff(starts))


@given(grids())
def test_there_are_no_more_tiles_than_the_overlap_needs(drawn: tuple[TileGrid, int]) -> None:
    grid, overlap_px = drawn
    for starts, length in zip((grid.tops, grid.lefts), grid.resized_hw, strict=True):
        reach_of_one_less = grid.size + (len(starts) - 2) * (grid.size - overlap_px)
        assert len(starts) == 1 or reach_of_one_less < length


@given(grids(), st.floats(-5, 5, width=32))
def test_stitching_constant_maps_gives_the_constant(
    drawn: tuple[TileGrid, int], value: float
) -> None:
    grid, _ = drawn
    maps = np.full((grid.n_tiles, grid.size, grid.size), value, np.float32)
    stitched = stitch_tiles(maps, grid)
    assert stitched.shape == grid.resized_hw
    assert (stitched == np.float32(value)).all()


@given(grids(), st.integers(0, 1000))
def test_stitching_the_cuts_of_a_map_gives_the_map(drawn: tuple[TileGrid, int], seed: int) -> None:
    grid, _ = drawn
    whole = np.random.default_rng(seed).standard_normal(grid.resized_hw, dtype=np.float32)
    cuts = [whole[t : t + grid.size, left : left + grid.size] for t, left in grid.corners]
    assert np.array_equal(stitch_tiles(np.stack(cuts), grid), whole)


def test_where_tiles_disagree_the_larger_value_wins() -> None:
    grid = TileGrid(picture_hw=(4, 6), resized_hw=(4, 6), size=4, tops=(0,), lefts=(0, 2))
    maps = np.stack([np.full((4, 4), -3.0), np.full((4, 4), -1.0)])
    assert stitch_tiles(maps, grid)[0].tolist() == [-3, -3, -1, -1, -1, -1]


@pytest.mark.parametrize("picture_hw", [(200, 2000), (240, 300), (600, 2000)])
def test_a_thin_mark_is_seen_wherever_it_lies(picture_hw: tuple[int, int]) -> None:
    grid = plan_tiles(picture_hw, PreprocessConfig(size=256, resize=ResizeRule.SQUASH))
    for left in range(40):
        picture = np.zeros((*picture_hw, 3), np.uint8)
        picture[:, left : left + 5] = 255
        resized = resize_picture(picture, grid)
        assert resized[..., 0].mean() == pytest.approx(picture.mean(), rel=0.1), left


@pytest.mark.parametrize("resized_hw", [(40, 50), (120, 150)])
def test_a_side_is_not_resized_twice(resized_hw: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    grid = TileGrid(picture_hw=(80, 100), resized_hw=resized_hw, size=40, tops=(0,), lefts=(0,))
    how = cv2.INTER_AREA if resized_hw < (80, 100) else cv2.INTER_LINEAR
    expected = cv2.resize(picture, resized_hw[::-1], interpolation=how)
    assert np.array_equal(resize_picture(picture, grid), expected)


@given(grids(), st.integers(0, 1000))
def test_joining_cut_tiles_gives_the_resized_picture(
    drawn: tuple[TileGrid, int], seed: int
) -> None:
    grid, _ = drawn
    picture = np.random.default_rng(seed).integers(0, 256, (*grid.picture_hw, 3), dtype=np.uint8)
    joined = picture_from_tiles(cut_tiles(picture, grid), grid)
    assert np.array_equal(joined, resize_picture(picture, grid))


def test_kolektor_sized_parts_become_three_tiles() -> None:
    grid = plan_tiles((755, 300), PreprocessConfig(resize=ResizeRule.TILE))
    assert grid.resized_hw == (644, 256)
    assert grid.tops == (0, 194, 388)
    assert grid.n_tiles == 3


def test_squashing_gives_one_tile_of_the_whole_picture() -> None:
    grid = plan_tiles((300, 755), PreprocessConfig())
    assert grid.corners == ((0, 0),)
    assert cut_tiles(made_picture(300, 755), grid).shape == (1, 256, 256, 3)


def test_a_scale_of_one_cuts_the_pixels_as_they_are() -> None:
    config = PreprocessConfig(size=64, resize=ResizeRule.TILE, scale=1.0, overlap_px=16)
    picture = made_picture(100, 150)
    tiles = cut_tiles(picture, plan_tiles((100, 150), config))
    assert np.array_equal(tiles[0], picture[:64, :64])
    assert np.array_equal(tiles[-1], picture[-64:, -64:])


def test_a_grey_picture_is_cut_like_a_colour_one() -> None:
    picture = made_picture(64, 64)[..., 0]
    tiles = cut_tiles(picture, plan_tiles((64, 64), PreprocessConfig(size=64)))
    assert np.array_equal(tiles[0], np.dstack([picture] * 3))


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 200
    tiles = cut_tiles(stripes, plan_tiles((128, 128), PreprocessConfig(size=64)))
    assert (tiles == 100).all()


def test_a_side_a_little_below_the_model_is_stretched() -> None:
    config = PreprocessConfig(resize=ResizeRule.TILE, scale=256 / 300)
    assert plan_tiles((294, 755), config).resized_hw == (256, 644)


def test_a_picture_below_the_model_at_its_scale_is_refused_with_the_least_side() -> None:
    config = PreprocessConfig(resize=ResizeRule.TILE, scale=0.5)
    with pytest.raises(ImageError, match=r"755 x 300 px is smaller.*at least 512 px"):
        plan_tiles((300, 755), config)


@pytest.mark.parametrize("rule", list(ResizeRule))
def test_a_picture_of_a_few_pixels_is_refused(rule: ResizeRule) -> None:
    with pytest.raises(ImageError, match=r"900 x 9 px is too small.*at least 32 px"):
        plan_tiles((9, 900), PreprocessConfig(resize=rule))


def test_a_picture_of_too_many_tiles_is_refused() -> None:
    config = PreprocessConfig(size=64, resize=ResizeRule.TILE, scale=1.0)
    with pytest.raises(ImageError, match=r"would be cut into .* tiles; 4096 is the most"):
        plan_tiles((5000, 5000), config)


@pytest.mark.parametrize(
    ("shapes", "rule"),
    [
        ([(500, 500), (512, 512, 3)], ResizeRule.SQUASH),
        ([(500, 545)], ResizeRule.SQUASH),
        ([(500, 500), (300, 755)], ResizeRule.TILE),
        ([(755, 300, 3)], ResizeRule.TILE),
    ],
)
def test_long_pictures_are_tiled(shapes: list[tuple[int, ...]], rule: ResizeRule) -> None:
    assert choose_resize(shapes) is rule
