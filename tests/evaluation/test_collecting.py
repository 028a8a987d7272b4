"""Masks at the size that the model saw."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.config import PreprocessConfig
from edgeinspect.data.layout import LabelledPicture
from edgeinspect.data.tiling import plan_tiles
from edgeinspect.evaluation.collecting import mask_at, read_mask_at
from tests.evaluation.parts_folder import put

GRID = plan_tiles((64, 64), PreprocessConfig(size=64))


def test_a_pixel_is_defective_where_more_than_half_was_drawn() -> None:
    mask = np.zeros((4, 4), bool)
    mask[:2, :2] = True  # all of a pixel
    mask[2, 2:] = True  # half of a pixel
    np.testing.assert_array_equal(mask_at(mask, (2, 2)), [[True, False], [False, False]])


def test_a_line_too_thin_for_that_keeps_what_it_covers_most() -> None:
    mask = np.zeros((64, 64), bool)
    mask[20] = True
    got = mask_at(mask, (16, 16))
    assert got[5].all()
    assert got.sum() == 16


@given(
    st.tuples(st.integers(8, 80), st.integers(8, 80)),
    st.tuples(st.integers(8, 80), st.integers(8, 80)),
    st.integers(0, 999),
)
def test_no_defect_gets_lost_or_appears(
    shape: tuple[int, int], resized: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    assert mask_at(mask, resized).any()
    assert not mask_at(~mask & mask, resized).any()
    assert mask_at(mask, resized).shape == resized


@pytest.mark.parametrize("column", range(8))
def test_a_thin_line_stays_one_where_one_side_shrinks_and_the_other_grows(column: int) -> None:
    mask = np.zeros((20, 128), bool)
    mask[:, column] = True
    got = mask_at(mask, (32, 32))
    assert got[:, column // 4].all()
    assert got.sum() == 32


def test_a_mask_of_the_right_size_is_not_touched() -> None:
    mask = np.random.default_rng(0).random((5, 7)) < 0.5
    np.testing.assert_array_equal(mask_at(mask, (5, 7)), mask)


def test_a_good_part_has_an_empty_mask_and_a_defect_without_file_none() -> None:
    good, defect = (LabelledPicture(path=Path("a.png"), label=name) for name in ("good", "pit"))
    mask = read_mask_at(good, GRID)
    assert mask is not None
    assert not mask.any()
    assert read_mask_at(defect, GRID) is None


def test_a_mask_of_another_size_counts_as_missing_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a_mask.png"
    put(path, np.zeros((10, 10), np.uint8))
    picture = LabelledPicture(path=tmp_path / "a.png", label="pit", mask_path=path)
    with caplog.at_level(logging.WARNING):
        assert read_mask_at(picture, GRID) is None
    assert "a_mask.png is 10 x 10 px" in caplog.text


def test_a_black_mask_of_a_defect_counts_as_missing_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a_mask.png"
    put(path, np.zeros(GRID.picture_hw, np.uint8))
    picture = LabelledPicture(path=tmp_path / "a.png", label="pit", mask_path=path)
    with caplog.at_level(logging.WARNING):
        assert read_mask_at(picture, GRID) is None
    assert "a_mask.png has no pixel of a defect" in caplog.text
