"""Defects of structure: nothing lies on the part, but its own material is not as it should be.

Beside `pasting`, which changes grey levels. A rule that is chosen on marks alone takes every strong
edge for a defect; bent threads and worn faces show neither a new edge nor a new grey, and a part
that is dull as a whole shows less than a good one. Serves every choice that is made on good
pictures (`calibrate --select`).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.synthetic.part import find_part
from edgeinspect.data.synthetic.pasting import paste_defect

__all__ = ["Disturbance", "Disturbed", "disturb_part", "harm_part"]

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]

# Shares of the picture's short side, at severity 0 and how much more at 1.
BEND, BEND_MORE = 0.008, 0.024
PIECE, PIECE_MORE = 0.05, 0.06
WORN, WORN_MORE = 0.04, 0.06
LEAST_SHIFT_PX = 0.05  # what would move less stays as it was
BLUR = 1 / 60  # of the short side, what wear smooths away
DULL, DARK = 0.4, 0.2  # shares of contrast and brightness that a dull part lacks at severity 1
DARKER = 0.3  # spreads of grey by which half of the worn places are darker


class Disturbance(str, enum.Enum):
    """Material moved aside, a piece from elsewhere on the part, a place worn smooth, all dull."""

    BENT = "bent"
    MISPLACED = "misplaced"
    WORN = "worn"
    DULL = "dull"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Disturbed:
    """A picture (H, W, 3) uint8 with one disturbance; outside `mask` (H, W) it is as it was."""

    picture: Picture
    mask: NDArray[np.bool_]
    kind: Disturbance


def harm_part(picture: Picture, rng: np.random.Generator, *, severity: float) -> Picture:
    """A copy with one defect, as often a mark pasted on as a disturbance of what is there."""
    if rng.random() < 0.5:
        return paste_defect(picture, rng, severity=severity).picture
    return disturb_part(picture, rng, severity=severity).picture


def disturb_part(
    picture: Picture,
    rng: np.random.Generator,
    *,
    severity: float,
    kinds: Sequence[Disturbance] | None = None,
) -> Disturbed:
    """Disturb one place of the part, or all of it.

    Args:
        picture: (H, W, 3) RGB; a grey picture stays grey.
        severity: 0 faint, 1 strong, beyond stronger; the place grows with it.
        kinds: which to choose from; all four if not given.
    """
    options = list(Disturbance) if kinds is None else list(kinds)
    kind = options[int(rng.integers(len(options)))]
    part = find_part(picture)
    rows, columns = np.nonzero(part)
    i, j = rng.integers(len(rows), size=2)
    centre, other = (int(rows[i]), int(columns[i])), (int(rows[j]), int(columns[j]))
    unit = min(picture.shape[:2])
    if kind is Disturbance.BENT:
        changed = _bend(picture, centre, (BEND + BEND_MORE * severity) * unit, rng)
    elif kind is Disturbance.MISPLACED:
        radius = (PIECE + PIECE_MORE * severity) * unit * rng.uniform(0.4, 0.7)
        changed = _blend(picture, _moved(picture, centre, other), _disc(picture, centre, radius))
    elif kind is Disturbance.DULL:
        dulled = _dulled(picture, part, severity * rng.uniform(0.8, 1.2))
        changed = _blend(picture, dulled, part.astype(np.float32))
    else:
        radius = (WORN + WORN_MORE * severity) * unit * rng.uniform(0.8, 1.2)
        changed = _blend(picture, _worn(picture, unit, rng), _disc(picture, centre, radius))
    return Disturbed(picture=changed, mask=(changed != picture).any(axis=-1), kind=kind)


def _bend(
    picture: Picture, centre: tuple[int, int], shift_px: float, rng: np.random.Generator
) -> Picture:
    """Material around `centre` moved by at most `shift_px`, in a direction of chance."""
    unit, direction = min(picture.shape[:2]), rng.uniform(0, 2 * np.pi)
    spread = max(rng.uniform(0.03, 0.08) * unit, shift_px)  # no more: it would fold over itself
    reach = spread * np.sqrt(2 * np.log(max(1.0, shift_px / LEAST_SHIFT_PX))) + shift_px + 2
    (top, bottom), (left, right) = (  # OpenCV moves nothing that is longer than 32766 px
        (max(0, int(at - reach)), min(side, int(at + reach) + 1))
        for at, side in zip(centre, picture.shape[:2], strict=True)
    )
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    far = (y - centre[0]) ** 2 + (x - centre[1]) ** 2
    shift = shift_px * np.exp(-far / (2 * spread**2))
    shift[shift < LEAST_SHIFT_PX] = 0
    from_x = (x + shift * np.cos(direction)).astype(np.float32) - left
    from_y = (y + shift * np.sin(direction)).astype(np.float32) - top
    bent: Picture = picture.copy()
    place = np.s_[top:bottom, left:right]
    bent[place] = cv2.remap(
        picture[place], from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return bent


def _moved(picture: Picture, to: tuple[int, int], origin: tuple[int, int]) -> Picture:
    """The picture shifted so that what was at `origin` is at `to`, around its edges."""
    return np.roll(picture, (to[0] - origin[0], to[1] - origin[1]), axis=(0, 1))


def _worn(picture: Picture, unit: int, rng: np.random.Generator) -> Field:
    smooth = cv2.GaussianBlur(picture, (0, 0), max(unit * BLUR, 1.0)).astype(np.float32)
    return smooth - DARKER * float(picture.std()) * int(rng.integers(2))


def _dulled(picture: Picture, part: NDArray[np.bool_], severity: float) -> Field:
    usual = picture[part].mean(axis=0, dtype=np.float32)  # (3,)
    contrast, brightness = max(0.0, 1 - DULL * severity), max(0.0, 1 - DARK * severity)
    dulled = (picture - usual) * contrast + usual * brightness
    return np.asarray(dulled, np.float32)


def _disc(picture: Picture, centre: tuple[int, int], radius: float) -> Field:
    """(H, W), 1 around `centre`, fading to 0 beyond `radius`."""
    y, x = np.indices(picture.shape[:2], dtype=np.float32)
    far = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / max(radius, 1.0) ** 2
    return np.asarray(np.clip(1.6 - far, 0, 1))


def _blend(picture: Picture, other: Picture | Field, share: Field) -> Picture:
    mixed = picture * (1 - share[..., None]) + other * share[..., None]
    changed = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return np.where(share[..., None] > 0, changed, picture)
