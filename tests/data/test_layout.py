"""Folders: which pictures are good, which labelled, and where their masks are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeinspect.data.layout import find_good, find_pictures, find_test, find_unread, read_mask
from edgeinspect.errors import DataError, ImageError
from tests.data.picture_files import made_picture, write


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An MVTec root with two good parts, and a test split with one crack and its mask."""
    picture = made_picture(32, 32)
    for name in ("train/good/2.png", "train/good/10.png", "test/good/1.png", "test/crack/1.png"):
        write(tmp_path / "data" / name, picture)
    mask = np.zeros((32, 32), np.uint8)
    mask[4:9, 5:7] = 255
    write(tmp_path / "data" / "ground_truth" / "crack" / "1_mask.png", mask)
    return tmp_path / "data"


@pytest.mark.parametrize("place", [".", "train", "train/good"])
def test_good_pictures_are_found_from_the_root_down(data: Path, place: str) -> None:
    assert [p.name for p in find_good(data / place)] == ["2.png", "10.png"]


def test_a_plain_folder_gives_its_own_pictures_only(tmp_path: Path) -> None:
    write(tmp_path / "a.png", made_picture())
    write(tmp_path / "rejects" / "b.png", made_picture())
    assert [p.name for p in find_good(tmp_path)] == ["a.png"]


def test_an_empty_folder_has_no_good_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no train/good and no pictures of its own"):
        find_good(tmp_path)


def test_pictures_further_down_are_pointed_at(tmp_path: Path) -> None:
    write(tmp_path / "monday" / "b.png", made_picture())
    with pytest.raises(DataError, match=r"did you mean .*monday"):
        find_good(tmp_path)


def test_good_pictures_that_are_not_read_are_told_of(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("3.webp", "1.GIF", ".4.webp", "notes.txt"):
        (data / "train" / "good" / name).touch()
    assert len(find_good(data)) == 2
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"{data / 'train' / 'good'}: pictures of a kind that is not read")
    assert "left out: 2 (1.GIF is one); save PNG" in told


def test_test_pictures_that_are_not_read_are_found(data: Path) -> None:
    for name in ("test/good/2.webp", "test/crack/1.heic", "train/good/3.webp"):
        (data / name).touch()
    found = [path.relative_to(data).as_posix() for path in find_unread(data)]
    assert found == ["test/crack/1.heic", "test/good/2.webp"]


def test_pictures_without_labels_count_as_good(data: Path) -> None:
    assert find_pictures(data) == find_test(data)
    assert {picture.label for picture in find_pictures(data / "train")} == {"good"}


@pytest.mark.parametrize("place", [".", "train", "test/good"])
def test_whatever_the_folder_what_is_not_read_is_told_of_once(
    data: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in ("train/good", "test/good"):
        (data / folder / "9.webp").touch()
    find_pictures(data / place)
    (told,) = [record.getMessage() for record in caplog.records]
    assert "left out: 1 (9.webp is one)" in told


def test_a_folder_without_pictures_says_which_are_read(tmp_path: Path) -> None:
    (tmp_path / "1.webp").touch()
    with pytest.raises(DataError, match=r"holds no pictures.*save PNG, JPEG, BMP or TIFF"):
        find_pictures(tmp_path)


@pytest.mark.parametrize("find", [find_good, find_test])
def test_where_no_picture_can_be_read_the_error_says_so(
    tmp_path: Path, find: Callable[[Path], object]
) -> None:
    for place in ("train/good", "test/pit"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.webp").touch()
    with pytest.raises(DataError, match=r"1.webp is of a kind that is not read: save PNG"):
        find(tmp_path)


@pytest.mark.parametrize("place", [".", "test"])
def test_test_pictures_carry_label_and_mask(data: Path, place: str) -> None:
    crack, good = find_test(data / place)
    assert (crack.label, crack.is_good, good.label, good.is_good) == ("crack", False, "good", True)
    assert crack.mask_path == data / "ground_truth" / "crack" / "1_mask.png"
    assert good.mask_path is None


def test_a_defect_without_a_drawn_mask_has_none(data: Path) -> None:
    (data / "ground_truth" / "crack" / "1_mask.png").unlink()
    assert find_test(data)[0].mask_path is None


def test_a_folder_without_labels_has_no_test_pictures(data: Path) -> None:
    with pytest.raises(DataError, match="no test pictures"):
        find_test(data / "train" / "good")


def test_a_mask_is_true_where_it_was_drawn(data: Path) -> None:
    mask_path = find_test(data)[0].mask_path
    assert mask_path is not None
    mask = read_mask(mask_path, (32, 32))
    assert mask.dtype == np.bool_
    assert mask.sum() == 10
    assert mask[4:9, 5:7].all()


@pytest.mark.parametrize("name", ["1_mask.bmp", "1.tif", "1_mask.jpg"])
def test_a_mask_may_have_any_suffix_of_pictures(tmp_path: Path, name: str) -> None:
    write(tmp_path / "test/pit/1.png", made_picture())
    mask_path = write(tmp_path / "ground_truth/pit" / name, np.eye(64, 80, dtype=np.uint8) * 255)
    assert [one.mask_path for one in find_test(tmp_path)] == [mask_path]


def test_a_mask_of_zeros_and_ones_is_read_like_any_other(tmp_path: Path) -> None:
    drawn = np.eye(16, dtype=np.uint8)
    assert np.array_equal(read_mask(write(tmp_path / "m.png", drawn), (16, 16)), drawn > 0)


def test_an_empty_mask_is_false_everywhere(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", np.zeros((16, 16), np.uint8))
    assert not read_mask(path, (16, 16)).any()


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", np.zeros((16, 20), np.uint8))
    with pytest.raises(ImageError, match="is 20 x 16 px, but its picture is 30 x 16 px"):
        read_mask(path, (16, 30))


def test_good_parts_stay_good_however_their_folder_is_spelled(tmp_path: Path) -> None:
    for name in ("Good", "pit"):
        write(tmp_path / "test" / name / "0.png", made_picture())
    assert [one.is_good for one in find_test(tmp_path)] == [True, False]
