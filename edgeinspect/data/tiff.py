"""What a TIFF says of itself (revision 6.0, and BigTIFF), read before OpenCV decodes it.

Serves `damage` and `images`: how large it is, how many pictures there are, and what in it OpenCV
would give other values than the file holds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["Tiff", "is_tiff", "read_tiff", "with_plain_alpha"]

_ORDERS = {b"II": "<", b"MM": ">"}
_BIG_TIFF = 43
_KIND, _WIDTH, _HEIGHT, _BITS = 254, 256, 257, 258  # tags
_CHANNELS, _PLANES, _ALPHA = 277, 284, 338
_TAGS = frozenset({_KIND, _WIDTH, _HEIGHT, _BITS, _CHANNELS, _PLANES, _ALPHA})
_NO_PICTURE = 0b101  # bits of the kind: a thumbnail, a mask
_ONE_AFTER_ANOTHER = 2  # planes
_UNASSOCIATED = 2  # alpha that the colours were not multiplied by
_NUMBERS = {3: "H", 4: "I", 16: "Q"}  # SHORT, LONG, LONG8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiff:
    """Of the first picture; 0 where the file does not say.

    Attributes:
        n_pictures: it, and how many there are behind it beside thumbnails and masks.
        n_bits: of a channel; is_planar: whether all of a channel comes before the next.
        alpha_at: the place of the number that says its alpha is unassociated; None: it is not.
    """

    n_pixels: int
    n_pictures: int
    n_channels: int
    n_bits: int
    is_planar: bool
    alpha_at: int | None

    @property
    def misread(self) -> str:
        """What OpenCV decodes to other values than the file holds; "" where it is right."""
        if self.n_bits > 8 and self.n_channels == 2:
            return "grey with alpha"
        if self.n_bits > 8 and self.n_channels > 1 and self.is_planar:
            return "channels one after another (planar)"
        return ""


def is_tiff(data: bytes) -> bool:
    """Whether a file begins as one."""
    return data[:2] in _ORDERS


def read_tiff(data: bytes) -> Tiff:
    """What a file says of itself; where it is cut off the reading ends."""
    order = _ORDERS[data[:2]]
    first: dict[int, tuple[int, int]] = {}
    n_pictures, known = 0, {0}
    try:
        (version,) = struct.unpack_from(f"{order}H", data, 2)
        is_big = version == _BIG_TIFF
        offset = f"{order}{'Q' if is_big else 'I'}"
        (at,) = struct.unpack_from(offset, data, 8 if is_big else 4)
        while at not in known:
            known.add(at)
            tags, end = _tags(data, at, order, is_big=is_big)
            first = first or tags  # which is decoded, whatever kind it is
            n_pictures += tags is first or not _number(tags, _KIND) & _NO_PICTURE
            (at,) = struct.unpack_from(offset, data, end)
    except struct.error:
        pass
    is_unassociated = _number(first, _ALPHA) == _UNASSOCIATED
    return Tiff(
        n_pixels=_number(first, _WIDTH) * _number(first, _HEIGHT),
        n_pictures=n_pictures,
        n_channels=_number(first, _CHANNELS),
        n_bits=_number(first, _BITS),
        is_planar=_number(first, _PLANES) == _ONE_AFTER_ANOTHER,
        alpha_at=first[_ALPHA][1] if is_unassociated else None,
    )


def with_plain_alpha(data: bytes) -> bytes:
    """A picture file whose alpha, if it is a TIFF's, does not say what it is.

    libtiff would multiply colours by an unassociated one.
    """
    at = read_tiff(data).alpha_at if is_tiff(data) else None
    return data if at is None else data[:at] + bytes(2) + data[at + 2 :]


def _tags(
    data: bytes, at: int, order: str, *, is_big: bool
) -> tuple[dict[int, tuple[int, int]], int]:
    """The first number of each tag that matters here and its place, and where the directory ends.

    Raises: struct.error.
    """
    formats = ("Q", "HHQ", "Q") if is_big else ("H", "HHI", "I")
    count, head, offset = (order + one for one in formats)
    head_bytes, inside_bytes = struct.calcsize(head), struct.calcsize(offset)
    (n_tags,) = struct.unpack_from(count, data, at)
    begin = at + struct.calcsize(count)
    end = begin + n_tags * (head_bytes + inside_bytes)
    tags = {}
    for entry in range(begin, min(end, len(data)), head_bytes + inside_bytes):
        tag, kind, n_numbers = struct.unpack_from(head, data, entry)
        if tag not in _TAGS or kind not in _NUMBERS:
            continue
        number, place = order + _NUMBERS[kind], entry + head_bytes
        if n_numbers * struct.calcsize(number) > inside_bytes:
            (place,) = struct.unpack_from(offset, data, place)
        if place + struct.calcsize(number) <= len(data):
            tags[tag] = (int(struct.unpack_from(number, data, place)[0]), place)
    return tags, end


def _number(tags: dict[int, tuple[int, int]], tag: int) -> int:
    return tags.get(tag, (0, 0))[0]
