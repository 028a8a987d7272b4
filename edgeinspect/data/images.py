"""Picture files to arrays and back: the only place where picture files are decoded.

First step of the flow. Every reader gets uint8 (H, W, 3) in RGB whatever the file holds (grey,
alpha, 16 bit, an EXIF rotation), or an `ImageError` that says what is wrong with the file.
A file that was cut off while it was written is refused (`damage`), not judged half grey.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.damage import PNG_START, refuse_damage
from edgeinspect.data.tiff import is_tiff, with_plain_alpha
from edgeinspect.errors import DataError, ImageError
from edgeinspect.holding import Held
from edgeinspect.suggestions import suggest_path
from edgeinspect.writing import write_atomically

__all__ = [
    "IMAGE_SUFFIXES",
    "UNREAD_HINT",
    "WHITE_LEVELS_16BIT",
    "decode_picture",
    "decode_pixels",
    "existing_folder",
    "guess_white_level",
    "is_picture",
    "list_pictures",
    "natural_key",
    "quiet_opencv",
    "read_bytes",
    "read_picture",
    "save_picture",
    "to_8_bits",
    "unread_pictures",
    "warn_of_unread",
    "warn_of_unread_in",
]

_log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
_DEPTHS = ("[!.]*", "[!.]*/[!.]*")  # that `list_pictures` looks at
# Of pictures as well, but not read.
_UNREAD_SUFFIXES = frozenset(
    {".avif", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".webp"}
    | {".cr2", ".cr3", ".dng", ".nef", ".pgm", ".pnm", ".ppm", ".raw"}
)
UNREAD_HINT = "save PNG, JPEG, BMP or TIFF"
WHITE_LEVELS_16BIT = (1023, 4095, 16383, 65535)  # cameras of 10, 12, 14 and 16 bits

_LOG_LEVEL_SILENT = 0  # of OpenCV


def read_picture(path: Path, *, white_level_16bit: int = 65535) -> NDArray[np.uint8]:
    """Read a picture file as (H, W, 3) RGB, 0 to 255.

    Args:
        white_level_16bit: what a 16-bit file holds for white; larger values become 255.
    Raises: ImageError if the file is missing, empty, cut off, no picture, of floating point or
        of more than 2^28 pixels.
    """
    return decode_picture(read_bytes(path), name=str(path), white_level_16bit=white_level_16bit)


def decode_picture(data: bytes, *, name: str, white_level_16bit: int = 65535) -> NDArray[np.uint8]:
    """Decode the bytes of a picture file as (H, W, 3) RGB; `name` is for the error's text.

    Raises: ImageError, as `read_picture`.
    """
    return to_8_bits(decode_pixels(data, name=name), white_level_16bit)


def to_8_bits(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], white_level_16bit: int
) -> NDArray[np.uint8]:
    """Pixels of 8 or 16 bits, of any shape, as 0 to 255; what is brighter than white is white."""
    if pixels.dtype == np.uint16:
        scaled = pixels.astype(np.float32) * (255.0 / white_level_16bit)
        pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return pixels.astype(np.uint8, copy=False)


def decode_pixels(data: bytes, *, name: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode a picture file as (H, W, 3) RGB at the depth of the file, uint8 or uint16.

    Raises: ImageError, as `read_picture`.
    """
    refuse_damage(data, name)
    with _QUIET_OPENCV.hold():
        try:
            flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH  # drops alpha, applies EXIF
            bgr = cv2.imdecode(np.frombuffer(with_plain_alpha(data), np.uint8), flags)
        except (cv2.error, MemoryError) as error:
            raise ImageError(f"{name} cannot be decoded as a picture") from error
    if bgr is None:
        raise ImageError(
            f"{name} is not a picture that can be read", hint="use PNG, JPEG, BMP or TIFF"
        )
    if bgr.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"{name} holds {bgr.dtype} pixels, for which white is not known",
            hint="save it with 8 or 16 bits a channel",
        )
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    if rgb.dtype == np.uint16:
        return rgb.astype(np.uint16, copy=False)
    return rgb.astype(np.uint8, copy=False)


def read_bytes(path: Path) -> bytes:
    """The bytes of a picture file. Raises ImageError if it is missing or cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


def list_pictures(folder: Path) -> list[Path]:
    """Picture files of a folder and of its direct subfolders, in natural order (2 before 10).

    Hidden files and folders are left out. The list may be empty.
    Raises: DataError if the folder is missing or is no folder.
    """
    folder = existing_folder(folder)
    inside = [p for p in _entries(folder) if p.is_dir()]
    files = [p for place in (folder, *inside) for p in _entries(place) if is_picture(p)]
    return sorted(files, key=lambda p: natural_key(p.relative_to(folder)))


def is_picture(path: Path) -> bool:
    """Whether a path has the suffix of a picture and is a file, or a link to what is gone.

    Reading such a link names it: left out, its part would be missed by nobody.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return False
    return path.is_file() or (path.is_symlink() and not path.exists())


def unread_pictures(paths: Iterable[Path]) -> list[Path]:
    """Those whose suffix is that of pictures which are not read, sorted; hidden ones left out."""
    unread = [p for p in paths if p.suffix.lower() in _UNREAD_SUFFIXES and p.name[0] != "."]
    return sorted(unread, key=natural_key)


def warn_of_unread(paths: Iterable[Path], place: str) -> bool:
    """Say once how many pictures are of a kind that is not read; whether there are any.

    Without a word a part would be missed by nobody.
    """
    unread = unread_pictures(paths)
    if unread:
        told = "%s: pictures of a kind that is not read, so left out: %d (%s is one); %s"
        _log.warning(told, place, len(unread), unread[0].name, UNREAD_HINT)
    return bool(unread)


def warn_of_unread_in(folder: Path) -> None:
    """The same of a folder and its direct subfolders, where `list_pictures` looks."""
    warn_of_unread((path for depth in _DEPTHS for path in folder.glob(depth)), str(folder))


def natural_key(path: Path) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    """Sort key of a path by which `part2` comes before `part10`."""
    return tuple(
        tuple(
            (0, int(piece), piece) if piece.isdecimal() else (1, 0, piece.casefold())
            for piece in re.split(r"(\d+)", name)
            if piece
        )
        for name in path.parts
    )


def existing_folder(folder: Path) -> Path:
    """The folder itself, or a DataError that says what is there instead, or what is near."""
    folder = Path(folder)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise DataError(f"{folder} is a file, not a folder of pictures")
    raise DataError(f"there is no folder {folder}", hint=suggest_path(folder))


def guess_white_level(paths: Iterable[Path]) -> int:
    """What white is in 16-bit files: the smallest of `WHITE_LEVELS_16BIT` none exceeds.

    65535 if no file has 16 bits; files that cannot be read are left out. Decodes 16-bit PNG and
    TIFF files only.
    """
    largest = 0
    for path in paths:
        with contextlib.suppress(ImageError):
            data = read_bytes(path)
            if not _may_have_16_bits(data):
                continue
            pixels = decode_pixels(data, name=str(path))
            if pixels.dtype == np.uint16:
                largest = max(largest, int(pixels.max()))
    if not largest:
        return WHITE_LEVELS_16BIT[-1]
    return next(level for level in WHITE_LEVELS_16BIT if largest <= level)


def save_picture(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) RGB or (H, W) grey in the format of the suffix; whole or not at all.

    Raises: OutputError if the place cannot be written.
    """
    bgr = rgb[..., ::-1] if rgb.ndim == 3 else rgb
    is_encoded, encoded = cv2.imencode(path.suffix, np.ascontiguousarray(bgr))
    assert is_encoded, f"OpenCV cannot encode {rgb.shape} as {path.suffix}"
    write_atomically(path, encoded.tobytes())


def _entries(folder: Path) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error


def _may_have_16_bits(data: bytes) -> bool:
    if data.startswith(PNG_START):
        return len(data) > 24 and data[24] == 16
    return is_tiff(data)


def _set_log_level(level: int) -> int:
    """The level before. The OpenCV of distributions (4.6) has the function in another place."""
    logging: Any = getattr(cv2.utils, "logging", cv2)
    return int(logging.setLogLevel(level))


def _silence() -> Callable[[], object]:
    return functools.partial(_set_log_level, _set_log_level(_LOG_LEVEL_SILENT))


_QUIET_OPENCV = Held(_silence)


def quiet_opencv() -> contextlib.AbstractContextManager[None]:
    """While it is entered OpenCV prints nothing: what it cannot open is told by our error."""
    return _QUIET_OPENCV.hold()
