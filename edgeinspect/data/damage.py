"""Files that look like pictures and are not whole, or hold several: found before any is decoded.

Serves `images`. Decoders are lenient: libjpeg fills what a cut-off file lacks with grey and calls
it a picture, which a line would then judge. PNG (RFC 2083) and JPEG (ITU T.81) both mark their
end, so the files' own structure tells. Of BMP and TIFF only the size is read, and of TIFF how many
pictures there are: only the first is decoded, and a defect on the second would pass.
"""

from __future__ import annotations

import struct
import zlib

from edgeinspect.data.tiff import is_tiff, read_tiff
from edgeinspect.errors import ImageError

__all__ = ["MAX_PIXELS", "PNG_START", "refuse_damage"]

MAX_PIXELS = 1 << 28  # a line scan of 16k x 16k; beyond it a header is more likely damaged
PNG_START = b"\x89PNG\r\n\x1a\n"

_JPEG_START = b"\xff\xd8\xff"
_BMP_START = b"BM"
_BMP_CORE_BYTES = 12  # of the oldest header, whose sides have 16 bits
# Frame headers: all SOFn but the markers DHT, JPG and DAC in between (ITU T.81, table B.1).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def refuse_damage(data: bytes, name: str) -> None:
    """Refuse a file that OpenCV would decode half, or for which it would allocate too much.

    BMP and TIFF are refused when too large, and TIFF of several pictures or of a kind that OpenCV
    reads wrongly: it sees their damage itself.
    Raises: ImageError, with `name` in its text.
    """
    if not data:
        raise ImageError(f"{name} is empty (0 bytes)")
    n_pixels, is_whole = 0, True
    if data.startswith(PNG_START):
        n_pixels, is_whole = _walk_png(data)
    elif data.startswith(_JPEG_START):
        n_pixels, is_whole = _walk_jpeg(data)
    elif data.startswith(_BMP_START):
        n_pixels = _bmp_pixels(data)
    elif is_tiff(data):
        tiff = read_tiff(data)
        n_pixels = tiff.n_pixels
        if tiff.n_pictures > 1:
            raise ImageError(
                f"{name} holds {tiff.n_pictures} pictures, of which only the first would be judged",
                hint="save each in a file of its own",
            )
        if tiff.misread:
            raise ImageError(
                f"{name} is a TIFF of {tiff.n_bits} bits with {tiff.misread}, which is not read",
                hint="save it as grey or RGB, the channels of a pixel side by side",
            )
    if not is_whole:
        raise ImageError(f"{name} is damaged or cut off", hint="copy it again")
    if n_pixels > MAX_PIXELS:
        raise ImageError(f"{name} claims {n_pixels} pixels; {MAX_PIXELS} is the most that is read")


def _walk_png(data: bytes) -> tuple[int, bool]:
    """(pixels of the header, whether there are any and every chunk has the checksum it should).

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
            return n_pixels, n_pixels > 0
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


def _bmp_pixels(data: bytes) -> int:
    """Pixels of the header; rows from top to bottom are a height below 0. 0 if it is cut off."""
    if len(data) < 26:
        return 0
    is_core = int.from_bytes(data[14:18], "little") == _BMP_CORE_BYTES
    width, height = struct.unpack_from("<HH" if is_core else "<ii", data, 18)
    return abs(int(width) * int(height))
