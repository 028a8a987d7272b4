"""Pictures that trained a model do not calibrate it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeinspect.calibration.training_pictures import untrained_pictures
from edgeinspect.data.images import save_picture
from edgeinspect.digests import file_sha256
from edgeinspect.errors import CalibrationError
from tests.bundles import good_picture


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"part_{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        save_picture(path, good_picture(i, (16, 16)))
    return paths


def trained_on(paths: list[Path], *, holdout: int = 0) -> dict[str, object]:
    return {
        "training_pictures": {file_sha256(path): path.name for path in paths},
        "holdout_pictures": {str(i): f"{i}.png" for i in range(holdout)},
    }


def test_a_training_picture_is_refused_with_count_and_reason(pictures: list[Path]) -> None:
    with pytest.raises(CalibrationError) as refused:
        untrained_pictures(pictures, trained_on(pictures[1:3]))
    assert "2 of 5 good pictures trained this model (part_1.png is one)" in str(refused.value)
    assert "would reject good parts" in str(refused.value)
    assert "--skip-training-pictures: 3 would remain" in str(refused.value)


def test_a_renamed_copy_is_recognised(pictures: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "other.png"
    copy.write_bytes(pictures[0].read_bytes())
    with pytest.raises(CalibrationError, match=r"1 of 1 .*other\.png"):
        untrained_pictures([copy], trained_on(pictures))


def test_training_pictures_are_left_out_when_asked(pictures: list[Path]) -> None:
    kept = untrained_pictures(pictures, trained_on(pictures[:2]), skip=True)
    assert list(kept) == pictures[2:]


def test_training_pictures_are_used_when_allowed(pictures: list[Path]) -> None:
    assert list(untrained_pictures(pictures, trained_on(pictures), allow=True)) == pictures


def test_leaving_out_everything_is_refused(pictures: list[Path]) -> None:
    with pytest.raises(CalibrationError, match="such as the 7 that training held out"):
        untrained_pictures(pictures, trained_on(pictures, holdout=7), skip=True)


def test_held_out_pictures_may_calibrate(pictures: list[Path]) -> None:
    provenance = trained_on(pictures[:2])
    assert list(untrained_pictures(pictures[2:], provenance)) == pictures[2:]


def test_a_file_that_cannot_be_read_is_left_for_reading_to_name(pictures: list[Path]) -> None:
    gone = pictures[0].with_name("gone.png")
    assert list(untrained_pictures([gone], trained_on(pictures))) == [gone]


def test_without_a_record_of_training_all_pictures_are_used(pictures: list[Path]) -> None:
    assert list(untrained_pictures(pictures, {})) == pictures


def test_a_copy_is_no_further_picture(pictures: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "other.png"
    copy.write_bytes(pictures[0].read_bytes())
    assert list(untrained_pictures([*pictures, copy], {})) == pictures


def test_allowing_and_leaving_out_at_once_is_refused(pictures: list[Path]) -> None:
    with pytest.raises(CalibrationError, match="give one of --allow-training-pictures"):
        untrained_pictures(pictures, trained_on(pictures[:2]), allow=True, skip=True)
