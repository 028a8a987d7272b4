"""A tiny test set in MVTec layout for the stand-in bundle: squares that are found, dim lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.images import save_picture
from tests.bundles import bad_picture, good_picture

N_TRAIN, N_GOOD, N_SPOT, N_LINE = 8, 6, 4, 3


def make_parts(folder: Path, *, shape: tuple[int, int] = (64, 64), train: bool = True) -> Path:
    """Write good parts, `spot` (a bright square, with masks) and `line` (dark, no masks)."""
    for i in range(N_TRAIN if train else 0):
        put(folder / f"train/good/{i}.png", good_picture(i, shape))
    for i in range(N_GOOD):
        put(folder / f"test/good/{i}.png", good_picture(100 + i, shape))
    for i in range(N_SPOT):
        put(folder / f"test/spot/{i}.png", bad_picture(200 + i, shape))
        put(folder / f"ground_truth/spot/{i}_mask.png", spot_mask(shape))
    for i in range(N_LINE):
        put(folder / f"test/line/{i}.png", line_picture(300 + i, shape))
    return folder


def spot_mask(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Where `bad_picture` is bright, 255."""
    side = min(shape) // 8
    top, left = shape[0] // 2, shape[1] // 2 + side
    mask = np.zeros(shape, np.uint8)
    mask[top : top + side, left : left + side] = 255
    return mask


def line_picture(seed: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    picture = good_picture(seed, shape)
    picture[shape[0] // 3] = 60
    return picture


def put(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_picture(path, picture)
