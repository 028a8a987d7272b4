"""Picture files made byte by byte, for tests of reading and of what is built on it."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def made_picture(height: int = 64, width: int = 80, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth random RGB (H, W, 3) that JPEG keeps almost as it is."""
    coarse = np.random.default_rng(seed).integers(30, 220, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))


def encoded(pixels: NDArray[np.generic], suffix: str) -> bytes:
    """The bytes of a picture file; pixels are RGB, RGBA or grey."""
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    is_encoded, data = cv2.imencode(suffix, np.ascontiguousarray(pixels))
    assert is_encoded
    return data.tobytes()


def write(path: Path, pixels: NDArray[np.generic]) -> Path:
    """Write a picture file in the format of its suffix, folders and all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(pixels, path.suffix))
    return path


def with_orientation(jpeg: bytes, orientation: int, *, thumbnail: bytes = b"") -> bytes:
    """A JPEG with an EXIF segment: one tag, Orientation (0x0112), and anything behind it."""
    tag = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + tag + struct.pack("<I", 0) + thumbnail
    payload = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def tiff_header(width: int, height: int, *, order: str, is_big: bool) -> bytes:
    """A TIFF's start and tags of its size; `order` as `struct` has it, BigTIFF where `is_big`."""
    tag, count, start = ("HHQQ", "Q", "2sHHHQ") if is_big else ("HHII", "H", "2sHI")
    name = b"II" if order == "<" else b"MM"
    head = (name, 43, 8, 0, 16) if is_big else (name, 42, 8)
    kind = 16 if is_big else 4  # LONG8, LONG
    sides = [struct.pack(order + tag, t, kind, 1, n) for t, n in ((256, width), (257, height))]
    return b"".join([struct.pack(order + start, *head), struct.pack(order + count, 2), *sides])


def tiff_file(
    pixels: NDArray[np.generic], *, order: str = "<", is_planar: bool = False, alpha: int = 2
) -> bytes:
    """A TIFF of (H, W, C) without compression; `alpha` is what an even channel says it is."""
    height, width, channels = pixels.shape
    laid = pixels.transpose(2, 0, 1) if is_planar else pixels
    raw = laid.astype(laid.dtype.newbyteorder(order)).tobytes()
    n_strips = channels if is_planar else 1
    tags = {
        256: [width],
        257: [height],
        258: [8 * pixels.dtype.itemsize] * channels,
        259: [1],
        262: [1 if channels < 3 else 2],
        273: [0] * n_strips,
        277: [channels],
        278: [height],
        279: [len(raw) // n_strips] * n_strips,
        284: [1 + is_planar],
    }
    if channels % 2 == 0:
        tags[338] = [alpha]
    outside_at = 8 + 2 + 12 * len(tags) + 4
    raw_at = outside_at + 4 * sum(len(values) for values in tags.values() if len(values) > 1)
    tags[273] = [raw_at + i * len(raw) // n_strips for i in range(n_strips)]
    directory, outside = struct.pack(f"{order}H", len(tags)), b""
    for tag, values in tags.items():
        kind, number = (4, "I") if tag in (273, 279) else (3, "H")
        packed = struct.pack(f"{order}{len(values)}{number}", *values)
        if len(packed) > 4:
            place, outside = outside_at + len(outside), outside + packed
            packed = struct.pack(f"{order}I", place)
        directory += struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return (start + directory + bytes(4) + outside).ljust(raw_at, b"\0") + raw


def two_pictures() -> bytes:
    """A TIFF of two pages, the first one `made_picture()`."""
    pages = [made_picture(seed=seed)[..., ::-1] for seed in (0, 1)]
    is_encoded, data = cv2.imencodemulti(".tiff", pages)
    assert is_encoded
    return data.tobytes()
