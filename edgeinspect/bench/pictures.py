"""What every variant is measured on: the user's pictures, else the bundle's golden images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgeinspect.bundle import Bundle
from edgeinspect.data.images import save_picture
from edgeinspect.data.layout import find_pictures
from edgeinspect.data.loading import load_many
from edgeinspect.data.splits import spread_places
from edgeinspect.digests import file_sha256, list_sha256
from edgeinspect.errors import BundleError, ConfigError, DataError
from edgeinspect.parity import Golden
from edgeinspect.runtime.session import Images, Ints

__all__ = ["BenchPictures", "open_pictures"]

MOST_PICTURES = 64  # spread over the folder; more change no time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BenchPictures:
    """Pictures as files, and the images that they are cut into.

    Attributes:
        source: what to say of them. paths: the files, in order.
        tiles: (N, H, W, 3) uint8 RGB. tile_index: (N,) int32, each image's place in its grid.
        sha256: one hash for all files.
    """

    source: str
    paths: tuple[Path, ...]
    tiles: Images
    tile_index: Ints
    sha256: str

    @property
    def tiles_of_one(self) -> float:
        """Images that a picture is cut into, on average."""
        return len(self.tiles) / len(self.paths)

    def parts_of(self, n: int) -> int:
        """Parts that fill a batch of n images, as `run` collects them: whole ones, until it is."""
        return math.ceil(n / round(self.tiles_of_one))

    def batch(self, n: int) -> Images:
        """(n, H, W, 3): the images in order, from the first again where there are fewer.

        Raises: ConfigError if that many do not fit into memory.
        """
        try:
            return self.tiles[np.arange(n) % len(self.tiles)]
        except MemoryError as error:
            raise ConfigError(
                f"{n} images do not fit into memory", hint="use a smaller --batch"
            ) from error

    def places(self, n: int, n_tiles: int) -> Ints:
        """(n,) positions of the same images, for constants that know `n_tiles`."""
        index = self.tile_index[np.arange(n) % len(self.tiles)]
        return np.minimum(index, n_tiles - 1).astype(np.int32)


@contextmanager
def open_pictures(bundle: Bundle, folder: Path | None) -> Iterator[BenchPictures]:
    """The pictures of a folder, or the bundle's golden images as files of a temporary one.

    Raises: DataError if the folder is missing, holds no pictures, or none can be read; or if there
        is neither a folder nor golden images.
    """
    if folder is not None:
        paths = [picture.path for picture in find_pictures(folder)]
        chosen = [paths[place] for place in spread_places(len(paths), MOST_PICTURES)]
        yield _load(bundle, chosen, str(folder))
        return
    try:
        golden = Golden.load(bundle.golden_path)
    except BundleError as error:
        raise DataError(
            f"{bundle.path} has no golden images to measure on",
            hint="give a folder of pictures as --data",
        ) from error
    with TemporaryDirectory() as place:
        files = [Path(place) / f"{i}.png" for i in range(len(golden.images))]
        for file, image in zip(files, golden.images, strict=True):
            save_picture(file, image)
        yield _load(bundle, files, "the bundle's golden images")


def _load(bundle: Bundle, paths: list[Path], source: str) -> BenchPictures:
    loaded = load_many(paths, bundle.config.preprocess)
    return BenchPictures(
        source=source,
        paths=loaded.paths,
        tiles=loaded.tiles,
        tile_index=loaded.tile_index,
        sha256=list_sha256(file_sha256(path) for path in loaded.paths),
    )
