"""Where pictures lie: MVTec AD's folder layout, and plain folders of good pictures.

    DATA/train/good/*           DATA/test/good/*           DATA/test/DEFECT/STEM.*
    DATA/ground_truth/DEFECT/STEM_mask.png  (or STEM.png, or another suffix of pictures)

Between the command line and `images`: a folder becomes a list of files with their labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.images import (
    IMAGE_SUFFIXES,
    UNREAD_HINT,
    decode_pixels,
    existing_folder,
    is_picture,
    list_pictures,
    natural_key,
    read_bytes,
    unread_pictures,
    warn_of_unread,
    warn_of_unread_in,
)
from edgeinspect.errors import DataError, ImageError
from edgeinspect.numbers import width_by_height

__all__ = [
    "GOOD",
    "LabelledPicture",
    "find_good",
    "find_pictures",
    "find_test",
    "find_unlabelled",
    "find_unread",
    "read_mask",
]

GOOD = "good"
_MASK_SUFFIXES = (".png", *sorted(IMAGE_SUFFIXES - {".png"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPicture:
    """A test picture: `label` is "good" or its class of defect.

    `mask_path` is None for a good picture, and for a defect of which no mask was drawn.
    """

    path: Path
    label: str
    mask_path: Path | None = None

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong with the part."""
        return self.label == GOOD


def find_good(folder: Path) -> list[Path]:
    """Good pictures of a plain folder, of an MVTec root (its train/good) or of its train.

    A plain folder gives the pictures that lie in it, not those of its subfolders: they may be
    defects. Natural order. Pictures beside them of a kind that is not read are logged.
    Raises: DataError if the folder is missing or holds no good pictures.
    """
    folder = existing_folder(folder)
    places = [p for p in (folder / "train" / GOOD, folder / GOOD, folder) if p.is_dir()]
    for place in places:
        if found := _own_pictures(place):
            warn_of_unread(place.iterdir(), str(place))
            return found
    hint = "give the folder that the pictures lie in, or one with train/good"
    if unread := [path for place in places for path in unread_pictures(place.iterdir())]:
        hint = f"{unread[0].name} is of a kind that is not read: {UNREAD_HINT}"
    elif below := list_pictures(folder):
        hint = f"did you mean {below[0].parent}?"
    raise DataError(f"{folder} has no train/good and no pictures of its own", hint=hint)


def find_test(folder: Path) -> list[LabelledPicture]:
    """Test pictures of an MVTec root or of its test folder, by label, then natural order.

    Raises: DataError if the folder is missing or has no labelled pictures.
    """
    test = _test_folder(folder)
    masks = test.parent / "ground_truth"
    found = [
        LabelledPicture(path=path, label=_label(place.name), mask_path=_mask_of(path, masks))
        for place in _class_folders(test)
        for path in _own_pictures(place)
    ]
    if not found:
        hint = "give a folder with test/good and test/DEFECT, such as: edgeinspect synth OUT"
        if unread := find_unread(folder):
            hint = f"{unread[0].name} is of a kind that is not read: {UNREAD_HINT}"
        raise DataError(f"{folder} has no test pictures", hint=hint)
    return found


def find_pictures(folder: Path) -> list[LabelledPicture]:
    """Test pictures by `find_test`, or all of a folder and its subfolders as if they were good.

    Pictures of a kind that is not read are logged.
    Raises: DataError if the folder is missing or holds no pictures.
    """
    try:
        found = find_test(folder)
        warn_of_unread(find_unread(folder), str(folder))
    except DataError:
        found = [LabelledPicture(path=path, label=GOOD) for path in list_pictures(folder)]
        if not found:
            hint = f"give a folder that does; {UNREAD_HINT}"
            raise DataError(f"{folder} holds no pictures", hint=hint) from None
        warn_of_unread_in(folder)
    return found


def find_unlabelled(folder: Path) -> list[Path]:
    """Pictures beside the folders that `find_test` takes labels from; natural order."""
    return _own_pictures(_test_folder(folder))


def find_unread(folder: Path) -> list[Path]:
    """Test pictures of a kind that is not read, which `find_test` leaves out; natural order."""
    places = _class_folders(_test_folder(folder))
    return unread_pictures(path for place in places for path in place.iterdir())


def read_mask(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A defect's mask as (H, W), true where the file is brighter than half of its largest value.

    Raises: ImageError if the mask cannot be read or is not of `shape`, its picture's (H, W).
    """
    pixels = decode_pixels(read_bytes(path), name=str(path)).max(axis=-1)
    if pixels.shape != tuple(shape):
        raise ImageError(
            f"{path} is {width_by_height(pixels.shape)} px, but its picture is"
            f" {width_by_height(shape)} px",
            hint="a mask has the size of its picture",
        )
    return np.asarray(pixels > pixels.max() / 2)


def _test_folder(folder: Path) -> Path:
    folder = existing_folder(folder)
    return folder / "test" if (folder / "test").is_dir() else folder


def _class_folders(test: Path) -> list[Path]:
    """Those that name a class, in natural order."""
    places = [p for p in test.iterdir() if p.is_dir() and not p.name.startswith(".")]
    return sorted(places, key=lambda p: natural_key(Path(p.name)))


def _label(name: str) -> str:
    """Of a folder of test pictures; `Good` is no class of defect."""
    return GOOD if name.casefold() == GOOD else name


def _own_pictures(folder: Path) -> list[Path]:
    files = (p for p in folder.iterdir() if is_picture(p) and not p.name.startswith("."))
    return sorted(files, key=lambda p: natural_key(Path(p.name)))


def _mask_of(path: Path, masks: Path) -> Path | None:
    folder = masks / path.parent.name
    for suffix in _MASK_SUFFIXES:
        for name in (f"{path.stem}_mask{suffix}", f"{path.stem}{suffix}"):
            if (folder / name).is_file():
                return folder / name
    return None
