"""From files to images: tiles of one picture, and many pictures of which some are broken."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from edgeinspect.config import PreprocessConfig, ResizeRule
from edgeinspect.data.loading import SpreadTiles, load_many, load_tiles, survey_pictures
from edgeinspect.errors import DataError, ImageError
from tests.data.picture_files import made_picture, write

TILED = PreprocessConfig(size=64, resize=ResizeRule.TILE, overlap_px=16)


def test_one_picture_becomes_the_tiles_of_its_grid(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", made_picture(64, 150))
    tiles, grid, picture = load_tiles(path, TILED)
    assert tiles.shape == (grid.n_tiles, 64, 64, 3) == (3, 64, 64, 3)
    assert np.array_equal(tiles[0], picture[:, :64])


def test_the_white_level_of_the_settings_is_used(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", np.full((64, 64), 4095, np.uint16))
    settings = PreprocessConfig(size=64, white_level_16bit=4095)
    assert (load_tiles(path, settings).tiles == 255).all()


def test_a_picture_without_a_grid_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.png", made_picture(4, 4))
    with pytest.raises(ImageError, match=r"tiny\.png: a picture of 4 x 4 px is too small"):
        load_tiles(path, TILED)


def test_broken_files_are_named_counted_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = [write(tmp_path / f"{i}.png", made_picture(64, 150, seed=i)) for i in range(2)]
    (tmp_path / "empty.png").touch()
    with caplog.at_level(logging.WARNING):
        loaded = load_many([good[0], tmp_path / "empty.png", good[1]], TILED)
    assert loaded.paths == tuple(good)
    assert "skipped: " in caplog.text
    assert "empty.png is empty" in caplog.text


def test_each_image_knows_its_place(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "long.png", made_picture(64, 150)),
        write(tmp_path / "square.png", made_picture(64, 64)),
    ]
    loaded = load_many(paths, TILED)
    assert loaded.tile_index.tolist() == [0, 1, 2, 0]
    assert len(loaded.tiles) == 4


def test_images_are_spread_over_the_tiles_of_all_pictures(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}.png", made_picture(64, 64 + 50 * i, seed=i)) for i in range(4)]
    tiles = load_many(paths, TILED).tiles
    chosen = SpreadTiles(paths, 5, TILED)
    assert (len(chosen), len(tiles)) == (5, 13)
    assert np.array_equal(np.stack(list(chosen)), tiles[[0, 3, 6, 9, 12]])


@pytest.mark.parametrize(("most", "taken"), [(7, range(7)), (6, [0, 1, 2, 4, 5, 6]), (1, [0])])
def test_of_more_pictures_than_images_are_asked_for_as_many_are_taken(
    tmp_path: Path, most: int, taken: list[int]
) -> None:
    paths = [write(tmp_path / f"{i}.png", made_picture(64, 64, seed=i)) for i in range(7)]
    chosen = SpreadTiles(paths, most, TILED)
    assert len(chosen) == most
    assert np.array_equal(np.stack(list(chosen)), load_many(paths, TILED).tiles[list(taken)])


@pytest.mark.parametrize("read", [lambda paths: load_many(paths, TILED), survey_pictures])
def test_nothing_but_broken_files_is_an_error(tmp_path: Path, read: object) -> None:
    (tmp_path / "empty.png").touch()
    assert callable(read)
    with pytest.raises(DataError, match=r"none of 1 pictures.*empty\.png is empty"):
        read([tmp_path / "empty.png"])


def test_a_survey_gives_the_shapes_of_what_can_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", made_picture(40, 50))
    (tmp_path / "empty.png").touch()
    survey = survey_pictures([path, tmp_path / "empty.png"])
    assert survey.paths == (path,)
    assert survey.shapes == ((40, 50),)
    assert len(survey.skipped) == 1


def test_a_survey_measures_the_pictures_by_their_white_level(tmp_path: Path) -> None:
    half = np.zeros((8, 8), np.uint16)
    half[:4] = 4095
    survey = survey_pictures([write(tmp_path / "a.png", half)])
    assert survey.white_level_16bit == 4095
    assert (survey.mean, survey.spread) == (pytest.approx(0.5), pytest.approx(0.5))
