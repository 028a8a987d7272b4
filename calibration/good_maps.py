"""Good pictures to error maps: the graph runs once a picture, the maps wait on disk.

The first step of calibration. The graph is the dominant cost, while constants, statistics and
folds need the maps several times; 100 pictures of three images give 700 MB of them. So they are
cached in a temporary file, in half precision with one power of two per map: rounding (1 in 2048)
lies far below what a sample of good parts decides.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import PreprocessConfig
from edgeinspect.data.appearance import Appearance
from edgeinspect.data.loading import load_tiles
from edgeinspect.data.tiling import TileGrid
from edgeinspect.errors import CalibrationError, ImageError, OutputError
from edgeinspect.progress import OnProgress
from edgeinspect.runtime.session import MapSession

__all__ = [
    "BATCH",
    "GoodMaps",
    "GoodPicture",
    "MapCache",
    "OnSkipped",
    "collect_good_maps",
    "infer_maps",
]

Floats = NDArray[np.float32]
OnSkipped = Callable[[Path, str], None]  # picture, what was wrong with it

BATCH = 4  # images a call of the graph, and maps in memory at a time
_HALF_EXPONENT = 15  # maps are scaled to below 2^15; half precision ends at 65504


class MapCache(AbstractContextManager["MapCache"]):
    """Error maps of many images in one temporary file, removed at the end of the `with`.

    The file lies in the system's temporary folder (TMPDIR): two bytes a number, about 1.2 MB an
    image at 3 measures and 3 scales of 256 x 256 px.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="edgeinspect-maps-")  # noqa: SIM115 (__exit__ closes it)
        self._exponents: list[NDArray[np.int32]] = []
        self._shape: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self._exponents)

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, I, H, W) of one image's maps."""
        return self._shape

    def append(self, maps: Floats) -> None:
        """Add maps (n, K, I, H, W), finite. Raises: OutputError if the disk is full."""
        self._shape = maps.shape[1:]
        _, exponents = np.frexp(np.abs(maps).max(axis=(-2, -1), keepdims=True))
        halves = np.ldexp(maps, _HALF_EXPONENT - exponents).astype(np.float16)
        try:
            self._file.seek(0, 2)
            self._file.write(halves.tobytes())
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"cannot keep error maps in {tempfile.gettempdir()}: {error.strerror}",
                hint="free space there, or set TMPDIR to a folder with some",
            ) from error
        self._exponents.extend(exponents)

    def read(self, first: int, count: int) -> Floats:
        """Maps (count, K, I, H, W) of the images from `first` on."""
        size = int(np.prod(self._shape))
        self._file.seek(2 * size * first)
        raw = np.frombuffer(self._file.read(2 * size * count), np.float16)
        halves = raw.reshape(count, *self._shape)
        exponents = np.stack(self._exponents[first : first + count])
        maps = halves.astype(np.float32)
        maps *= np.ldexp(np.float32(1), exponents - _HALF_EXPONENT)
        return maps

    def __exit__(self, *error: object) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodPicture:
    """A picture whose maps are cached: images `first` to `first + grid.n_tiles` - 1."""

    path: Path
    grid: TileGrid
    first: int
    appearance: Appearance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GoodMaps:
    """Error maps of good pictures, in the order of the pictures."""

    pictures: tuple[GoodPicture, ...]
    cache: MapCache

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def picture_of_tile(self) -> NDArray[np.int64]:
        """(N,), the picture of each image."""
        counts = [picture.grid.n_tiles for picture in self.pictures]
        return np.repeat(np.arange(len(counts), dtype=np.int64), counts)

    @property
    def tile_places(self) -> tuple[tuple[int, int], ...] | None:
        """(top, left) of each tile position, or None if the pictures' grids differ."""
        grids = {(p.grid.resized_hw, p.grid.corners) for p in self.pictures}
        return next(iter(grids))[1] if len(grids) == 1 else None

    def maps(self, picture: int) -> Iterator[tuple[NDArray[np.int32], Floats]]:
        """Tile positions (n,) and maps (n, K, I, H, W) of a picture, at most BATCH at a time."""
        one = self.pictures[picture]
        for start in range(0, one.grid.n_tiles, BATCH):
            count = min(BATCH, one.grid.n_tiles - start)
            yield (
                np.arange(start, start + count, dtype=np.int32),
                self.cache.read(one.first + start, count),
            )


def infer_maps(session: MapSession, tiles: NDArray[np.uint8]) -> Iterator[Floats]:
    """Error maps of images (n, size, size, 3), at most BATCH at a time."""
    for start in range(0, len(tiles), BATCH):
        yield session.error_maps(tiles[start : start + BATCH])


def collect_good_maps(
    session: MapSession,
    paths: list[Path],
    preprocess: PreprocessConfig,
    cache: MapCache,
    *,
    on_progress: OnProgress,
    on_skipped: OnSkipped,
) -> GoodMaps:
    """Run the graph over good pictures; those that cannot be read are named and left out.

    Raises: CalibrationError if the graph gives maps that are not finite: that is no picture's
        fault, and constants made from the rest would hide it.
    """
    pictures: list[GoodPicture] = []
    for done, path in enumerate(paths):
        on_progress("error maps", done, len(paths))
        try:
            loaded = load_tiles(path, preprocess)
        except ImageError as error:
            on_skipped(path, error.what)
            continue
        appearance = Appearance.of(loaded.picture)
        pictures.append(
            GoodPicture(path=path, grid=loaded.grid, first=len(cache), appearance=appearance)
        )
        for maps in infer_maps(session, loaded.tiles):
            if not np.isfinite(maps).all():
                raise CalibrationError(
                    f"the graph gives error maps of {path} that are not finite",
                    hint="train and export the bundle again",
                )
            cache.append(maps)
    on_progress("error maps", len(paths), len(paths))
    return GoodMaps(pictures=tuple(pictures), cache=cache)
