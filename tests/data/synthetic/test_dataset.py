"""Synthetic data sets: their layout, their seeds, and the folders they leave alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeinspect.data.images import list_pictures, read_picture
from edgeinspect.data.layout import find_good, find_test, read_mask
from edgeinspect.data.synthetic.dataset import make_data_set, paste_data_set
from edgeinspect.data.synthetic.defects import DefectKind
from edgeinspect.data.synthetic.surfaces import Finish
from edgeinspect.errors import ConfigError, DataError, OutputError
from tests.data.picture_files import made_picture, write


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of every finish with 6 training and 30 test pictures of 64 px."""
    out = tmp_path_factory.mktemp("synthetic") / "parts"
    make_data_set(out, n_good=6, n_test=30, size_px=64)
    return out


def test_the_layout_is_that_of_mvtec(parts: Path) -> None:
    assert len(find_good(parts)) == 6
    labels = [picture.label for picture in find_test(parts)]
    assert labels.count("good") == 15
    assert set(labels) - {"good"} == {kind.value for kind in DefectKind}


def test_every_defect_has_a_mask_of_its_picture(parts: Path) -> None:
    for picture in find_test(parts):
        if not picture.is_good:
            assert picture.mask_path is not None
            assert picture.mask_path.name == f"{picture.path.stem}_mask.png"
            assert read_mask(picture.mask_path, (64, 64)).any()


def test_defects_run_from_hard_to_easy(parts: Path) -> None:
    record = json.loads((parts / "synth.json").read_text())
    severities = sorted(defect["severity"] for defect in record["defects"])
    assert severities[0] < 0.2
    assert severities[-1] > 1.1
    assert max(np.diff(severities)) < 0.2


def test_no_part_occurs_twice(parts: Path) -> None:
    pictures = [d for name, d in files(parts).items() if name.startswith(("train", "test"))]
    assert len(set(pictures)) == len(pictures) == 36


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        make_data_set(tmp_path / name, n_good=2, n_test=4, size_px=48, seed=seed)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a") != files(tmp_path / "c")


def test_a_larger_data_set_begins_with_the_smaller_one(tmp_path: Path) -> None:
    for n_good in (2, 4):
        make_data_set(tmp_path / str(n_good), n_good=n_good, n_test=0, size_px=48)
    small, large = (files(tmp_path / name / "train") for name in ("2", "4"))
    assert small.items() <= large.items()


def test_one_finish_can_be_asked_for(tmp_path: Path) -> None:
    make_data_set(tmp_path / "a", finish=Finish.CAST, n_good=1, n_test=0, size_px=48)
    assert json.loads((tmp_path / "a" / "synth.json").read_text())["surface"] == ["cast"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_good": 0}, "n_good is 0"),
        ({"n_test": -1}, "n_test is -1"),
        ({"size_px": 8}, "size is 8: it must be 32"),
        ({"severity": -0.1}, "severity is -0.1"),
        ({"severity": float("nan")}, "severity is nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_data_set(tmp_path / "a", **wrong)  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def test_a_data_set_of_ours_is_replaced_only_by_force(tmp_path: Path) -> None:
    make_data_set(tmp_path / "a", n_good=3, n_test=0, size_px=48)
    with pytest.raises(OutputError, match=r"exists; add --force"):
        make_data_set(tmp_path / "a", n_good=1, n_test=0, size_px=48)
    make_data_set(tmp_path / "a", n_good=1, n_test=0, size_px=48, force=True)
    assert len(find_good(tmp_path / "a")) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_is_not_ours_is_never_replaced(tmp_path: Path, force: bool) -> None:
    write(tmp_path / "holiday" / "1.jpg", made_picture())
    with pytest.raises(OutputError, match="holds something else"):
        make_data_set(tmp_path / "holiday", n_good=1, n_test=0, size_px=48, force=force)
    assert len(list_pictures(tmp_path / "holiday")) == 1


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(OutputError, match="is a file"):
        make_data_set(tmp_path / "a", n_good=1, n_test=0, size_px=48)


def test_an_interrupted_data_set_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgeinspect.data.synthetic.dataset.paste_defect", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_data_set(tmp_path / "a", n_good=1, n_test=2, size_px=48)
    assert not any(tmp_path.iterdir())


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Seven good pictures of two formats, two of one stem, and an empty file."""
    for i in range(6):
        write(tmp_path / "good" / f"part{i}.png", made_picture(seed=i))
    write(tmp_path / "good" / "part5.bmp", made_picture(seed=9))
    (tmp_path / "good" / "broken.png").touch()
    return tmp_path / "good"


def test_good_pictures_are_kept_and_each_gets_one_defect(tmp_path: Path, good: Path) -> None:
    made = paste_data_set(tmp_path / "out", good, severity=1.0)
    test = find_test(tmp_path / "out")
    assert made.n_test_good == 7 == sum(picture.is_good for picture in test)
    assert sum(n for _, n in made.n_defects) == 7 == sum(not p.is_good for p in test)
    assert len(made.n_defects) == 6


def test_only_the_defect_tells_the_pair_apart(tmp_path: Path, good: Path) -> None:
    paste_data_set(tmp_path / "out", good, severity=1.0)
    for picture in find_test(tmp_path / "out"):
        untouched = read_picture(tmp_path / "out" / "test" / "good" / picture.path.name)
        pixels = read_picture(picture.path)
        if picture.mask_path is not None:
            mask = read_mask(picture.mask_path, pixels.shape[:2])
            assert np.array_equal(pixels[~mask], untouched[~mask])
            assert not np.array_equal(pixels, untouched)


def test_copies_have_the_pixels_of_the_originals(tmp_path: Path, good: Path) -> None:
    paste_data_set(tmp_path / "out", good)
    copy = read_picture(tmp_path / "out" / "test" / "good" / "part3.png")
    assert np.array_equal(copy, made_picture(seed=3))


def test_a_broken_good_picture_is_counted_and_named(
    tmp_path: Path, good: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = paste_data_set(tmp_path / "out", good)
    assert len(made.skipped) == 1
    assert "broken.png is empty" in caplog.text


def test_only_broken_pictures_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a.png").touch()
    with pytest.raises(DataError, match="none of 1 pictures"):
        paste_data_set(tmp_path / "out", tmp_path / "good")
    assert [p.name for p in tmp_path.iterdir()] == ["good"]


def test_the_good_pictures_are_never_overwritten(parts: Path) -> None:
    with pytest.raises(OutputError, match="holds the good pictures"):
        paste_data_set(parts, parts / "train" / "good", force=True)
    assert len(find_good(parts)) == 6


def test_pictures_of_a_12_bit_camera_keep_their_brightness(tmp_path: Path) -> None:
    grey = np.full((64, 64), 2000, np.uint16)
    grey[0] = 4095
    write(tmp_path / "good" / "a.png", grey)
    paste_data_set(tmp_path / "out", tmp_path / "good", seed=0)
    good = read_picture(tmp_path / "out" / "test" / "good" / "a.png")
    assert good[32, 32, 0] == round(2000 / 4095 * 255)


def test_names_that_differ_by_their_format_alone_overwrite_no_picture(tmp_path: Path) -> None:
    for name in ("a-2.png", "a.bmp", "a.png"):
        write(tmp_path / "good" / name, made_picture())
    made = paste_data_set(tmp_path / "out", tmp_path / "good")
    assert len(list((tmp_path / "out" / "test" / "good").iterdir())) == made.n_test_good == 3
