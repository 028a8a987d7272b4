"""Files to images in one step: `picture -> plan_tiles -> cut_tiles`.

What training, calibration, evaluation and the stream read pictures with. Where one broken file
must not stop the rest, it is named in the log and counted in the result.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import PreprocessConfig
from edgeinspect.data.appearance import Appearance
from edgeinspect.data.images import guess_white_level, read_picture
from edgeinspect.data.splits import spread_places
from edgeinspect.data.tiling import TileGrid, cut_tiles, plan_tiles
from edgeinspect.errors import DataError, ImageError

__all__ = [
    "LoadedPicture",
    "LoadedPictures",
    "SpreadTiles",
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

    `tiles` (N, size, size, 3) uint8 RGB; `tile_index` (N,) is each image's place in its grid.
    `paths` are those that could be read.
    """

    tiles: NDArray[np.uint8]
    tile_index: NDArray[np.int32]
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a list of files holds, after each was read once.

    Attributes:
        paths, shapes, appearances: the readable ones, with (H, W) and how they look as a whole.
        skipped: what is wrong with the rest.
        white_level_16bit: what 16-bit files hold for white; they were read by it.
        mean, spread: of all values of all pictures, 0 to 1; every picture counts the same.
    """

    paths: tuple[Path, ...]
    shapes: tuple[tuple[int, int], ...]
    appearances: tuple[Appearance, ...]
    skipped: tuple[ImageError, ...]
    white_level_16bit: int
    mean: float
    spread: float


class SpreadTiles:
    """At most `most` images of pictures, evenly from the first to the last: (size, size, 3) each.

    How many is known before any is cut. Pictures are read twice, one at a time: a hundred of 5 MP
    in tiles take gigabytes.
    Raises: ImageError if one cannot be read, or has no grid.
    """

    def __init__(self, paths: Sequence[Path], most: int, preprocess: PreprocessConfig) -> None:
        self.paths = [paths[place] for place in spread_places(len(paths), most)]
        self.preprocess = preprocess
        white = preprocess.white_level_16bit
        shapes = (read_picture(path, white_level_16bit=white).shape[:2] for path in self.paths)
        counts = [plan_tiles((height, width), preprocess).n_tiles for height, width in shapes]
        self.ends = np.cumsum(counts)
        self.places = spread_places(int(self.ends[-1]), most)

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        chosen = np.split(self.places, np.searchsorted(self.places, self.ends[:-1]))
        for path, own, first in zip(self.paths, chosen, [0, *self.ends], strict=False):
            if own.size:
                yield from load_tiles(path, self.preprocess).tiles[own - first]


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
    tiles: list[NDArray[np.uint8]] = []
    kept: list[Path] = []
    skipped: list[ImageError] = []
    for path in paths:
        try:
            tiles.append(load_tiles(path, preprocess).tiles)
            kept.append(path)
        except ImageError as error:
            skipped.append(error)
    _report_skipped(skipped, n_read=len(kept))
    return LoadedPictures(
        tiles=np.concatenate(tiles),
        tile_index=np.concatenate([np.arange(len(one), dtype=np.int32) for one in tiles]),
        paths=tuple(kept),
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
    appearances: list[Appearance] = []
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
        appearances.append(Appearance.of(picture))
        square = float(np.square(picture, dtype=np.float32).mean())
        moments.append((float(picture.mean()) / 255, square / 255**2))
    _report_skipped(skipped, n_read=len(kept))
    mean, square = np.mean(moments, axis=0).tolist()
    return Survey(
        paths=tuple(kept),
        shapes=tuple(shapes),
        appearances=tuple(appearances),
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
