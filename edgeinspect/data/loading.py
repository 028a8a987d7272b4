"""Files to images in one step: `picture -> plan_tiles -> cut_tiles`.

What training, calibration, evaluation and the stream read pictures with. Where one broken file
must not stop the rest, it is named in the log and counted in the result.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import PreprocessConfig
from edgeinspect.data.images import guess_white_level, read_picture
from edgeinspect.data.tiling import TileGrid, cut_tiles, plan_tiles
from edgeinspect.errors import DataError, ImageError

__all__ = [
    "LoadedPicture",
    "LoadedPictures",
    "Survey",
    "load_many",
    "load_tiles",
    "plan_file",
    "survey_pictures",
]

_log = logging.getLogger(__name__)


class LoadedPicture(NamedTuple):
    """Images of one picture: `tiles` (n, size, size, 3) uint8 RGB, `picture` (H, W, 3)."""

    tiles: NDArray[np.uint8]
    grid: TileGrid
    picture: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedPictures:
    """Images of many pictures, tile after tile.

    `tiles` (N, size, size, 3) uint8 RGB; `tile_index` (N,) is each image's place in its grid and
    `picture_index` (N,) its picture in `paths` and `grids`. `skipped` says what was wrong.
    """

    tiles: NDArray[np.uint8]
    tile_index: NDArray[np.int32]
    picture_index: NDArray[np.int64]
    paths: tuple[Path, ...]
    grids: tuple[TileGrid, ...]
    skipped: tuple[ImageError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a list of files holds, after each was read once.

    Attributes:
        paths, shapes: the readable ones, with their (H, W). skipped: what is wrong with the rest.
        white_level_16bit: what 16-bit files hold for white; they were read by it.
        mean, spread: of all values of all pictures, 0 to 1; every picture counts the same.
    """

    paths: tuple[Path, ...]
    shapes: tuple[tuple[int, int], ...]
    skipped: tuple[ImageError, ...]
    white_level_16bit: int
    mean: float
    spread: float


def load_tiles(path: Path, preprocess: PreprocessConfig) -> LoadedPicture:
    """Read one picture and cut it. Raises ImageError if it cannot be read, or has no grid."""
    picture = read_picture(path, white_level_16bit=preprocess.white_level_16bit)
    height, width = picture.shape[:2]
    grid = plan_file(path, (height, width), preprocess)
    return LoadedPicture(tiles=cut_tiles(picture, grid), grid=grid, picture=picture)


def plan_file(path: Path, picture_hw: tuple[int, int], preprocess: PreprocessConfig) -> TileGrid:
    """`plan_tiles`, whose ImageError then names the file."""
    try:
        return plan_tiles(picture_hw, preprocess)
    except ImageError as error:
        raise ImageError(f"{path}: {error.what}", hint=error.hint) from error


def load_many(paths: Iterable[Path], preprocess: PreprocessConfig) -> LoadedPictures:
    """Read and cut many pictures; those that cannot be read are logged, counted and left out.

    Raises: DataError if none could be read.
    """
    loaded: list[LoadedPicture] = []
    kept: list[Path] = []
    skipped: list[ImageError] = []
    for path in paths:
        try:
            loaded.append(load_tiles(path, preprocess))
            kept.append(path)
        except ImageError as error:
            skipped.append(error)
    _report_skipped(skipped, n_read=len(kept))
    counts = [one.grid.n_tiles for one in loaded]
    return LoadedPictures(
        tiles=np.concatenate([one.tiles for one in loaded]),
        tile_index=np.concatenate([np.arange(n, dtype=np.int32) for n in counts]),
        picture_index=np.repeat(np.arange(len(counts), dtype=np.int64), counts),
        paths=tuple(kept),
        grids=tuple(one.grid for one in loaded),
        skipped=tuple(skipped),
    )


def survey_pictures(paths: Sequence[Path], *, white_level_16bit: int | None = None) -> Survey:
    """Read every picture once for its facts; broken ones are logged, counted and left out.

    Args:
        white_level_16bit: what 16-bit files hold for white; None looks at what they hold.
    Raises: DataError if none could be read.
    """
    white = white_level_16bit or guess_white_level(paths)
    kept: list[Path] = []
    shapes: list[tuple[int, int]] = []
    moments: list[tuple[float, float]] = []  # mean and mean square, 0 to 1
    skipped: list[ImageError] = []
    for path in paths:
        try:
            picture = read_picture(path, white_level_16bit=white)
        except ImageError as error:
            skipped.append(error)
            continue
        kept.append(path)
        shapes.append((picture.shape[0], picture.shape[1]))
        square = float(np.square(picture, dtype=np.float32).mean())
        moments.append((float(picture.mean()) / 255, square / 255**2))
    _report_skipped(skipped, n_read=len(kept))
    mean, square = np.mean(moments, axis=0).tolist()
    return Survey(
        paths=tuple(kept),
        shapes=tuple(shapes),
        skipped=tuple(skipped),
        white_level_16bit=white,
        mean=mean,
        spread=max(0.0, square - mean**2) ** 0.5,
    )


def _report_skipped(skipped: list[ImageError], *, n_read: int) -> None:
    """Name each skipped picture once, or raise if nothing was left."""
    if not n_read:
        first = f", the first because {skipped[0].what}" if skipped else ""
        raise DataError(f"none of {len(skipped)} pictures could be read{first}")
    for error in skipped:
        _log.warning("skipped: %s", error.what)
