"""Files that look like pictures and are not whole: found before anything is decoded.

Serves `images`. Decoders are lenient: libjpeg fills what a cut-off file lacks with grey and calls
it a picture, which a line would then judge. PNG (RFC 2083) and JPEG (ITU T.81) both mark their
end, so the files' own structure tells.
"""

from __future__ import annotations

import struct
import zlib

from edgeinspect.errors import ImageError

__all__ = ["MAX_PIXELS", "PNG_START", "refuse_damage"]

MAX_PIXELS = 1 << 28  # a line scan of 16k x 16k; beyond it a header is more likely damaged
PNG_START = b"\x89PNG\r\n\x1a\n"

_JPEG_START = b"\xff\xd8\xff"
# Frame headers: all SOFn but the markers DHT, JPG and DAC in between (ITU T.81, table B.1).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def refuse_damage(data: bytes, name: str) -> None:
    """Refuse a file that OpenCV would decode half, or for which it would allocate too much.

    Formats other than PNG and JPEG are only refused when empty: OpenCV sees their damage itself.
    Raises: ImageError, with `name` in its text.
    """
    if not data:
        raise ImageError(f"{name} is empty (0 bytes)")
    n_pixels, is_whole = 0, True
    if data.startswith(PNG_START):
        n_pixels, is_whole = _walk_png(data)
    elif data.startswith(_JPEG_START):
        n_pixels, is_whole = _walk_jpeg(data)
    if not is_whole:
        raise ImageError(f"{name} is damaged or cut off", hint="copy it again")
    if n_pixels > MAX_PIXELS:
        raise ImageError(f"{name} claims {n_pixels} pixels; {MAX_PIXELS} is the most that is read")


def _walk_png(data: bytes) -> tuple[int, bool]:
    """(pixels of the header, whether every chunk up to the end has the checksum that it should).

    Checked here because libpng itself prints about what it finds broken.
    """
    n_pixels, at = 0, len(PNG_START)
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        checksum = zlib.crc32(memoryview(data)[at + 4 : end - 4])
        if end > len(data) or checksum != int.from_bytes(data[end - 4 : end], "big"):
            return n_pixels, False
        if kind == b"IHDR":
            width, height = struct.unpack(">II", data[at + 8 : at + 16])
            n_pixels = width * height
        if kind == b"IEND":
            return n_pixels, True
        at = end
    return n_pixels, False


def _walk_jpeg(data: bytes) -> tuple[int, bool]:
    """(pixels of the frame, whether an end marker follows the scan).

    The segments before the scan are stepped over: an EXIF thumbnail has an end marker of its own.
    """
    n_pixels, at = 0, 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _JPEG_FRAMES and at + 9 <= len(data):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            n_pixels = height * width
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:  # start of scan: inside it 0xFF 0xD9 can only be the end
            return n_pixels, data.find(b"\xff\xd9", at) >= 0
    return n_pixels, False
