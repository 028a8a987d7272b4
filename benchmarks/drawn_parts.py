"""Parts that have a shape, drawn as a camera sees them, with defects of a place and of the whole.

For `made_parts`. `synth` draws surfaces that fill the picture, and what was chosen was chosen on
real parts; nothing was chosen on these. A nut lies at any angle, a casting nearly at one, a turned
face mirrors its lamp, a strip is lit unevenly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.synthetic.noise import Field, smooth_noise

__all__ = ["DEFECTS", "LOCAL", "PARTS", "Drawing", "defects_of", "draw_defective", "draw_good"]

Mask = NDArray[np.bool_]
WHITE = 255


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawing:
    """`grey` (H, W), 0 to 255, and where in it the part is, or its defect."""

    grey: Field
    mask: Mask


def draw_good(part: str, rng: np.random.Generator) -> Drawing:
    """A good part of `PARTS`; its mask is the part without its holes."""
    return PARTS[part](rng, Look())


def draw_defective(part: str, defect: str, rng: np.random.Generator) -> Drawing:
    """A part with one of its defects (`defects_of`), whose mask is the drawing's."""
    if defect in LOCAL:
        return LOCAL[defect](draw_good(part, rng), rng)
    if defect in FINISHED:
        return FINISHED[defect](draw_good(part, rng))
    return PARTS[part](rng, LOOKS[defect])


def defects_of(part: str) -> list[str]:
    """Those of `DEFECTS` that a part can have: sides and bores are not every part's."""
    of_others = {own for other, own in OWN.items() if other != part}
    return [defect for defect in DEFECTS if defect not in of_others]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a whole part is made: its grain's size, its side, its number of holes."""

    grain: float = 1.0
    is_turned_over: bool = False
    n_holes: int = 6


LOOKS = {
    "coarse": Look(grain=1.8),
    "wrong side": Look(is_turned_over=True),
    "hole missing": Look(n_holes=5),
}
OWN = {"nut": "wrong side", "casting": "hole missing"}  # defects that no other part has


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Polar:
    """Distance in px and direction in degrees of every pixel from a centre that varies a little."""

    radius: Field
    angle: Field

    @classmethod
    def about(cls, side: int, jitter_px: float, rng: np.random.Generator) -> _Polar:
        down, across = np.mgrid[:side, :side] - side / 2
        y, x = (
            down - rng.uniform(-jitter_px, jitter_px),
            across - rng.uniform(-jitter_px, jitter_px),
        )
        return cls(radius=_field(np.hypot(y, x)), angle=_field(np.degrees(np.arctan2(y, x))))


def _nut(rng: np.random.Generator, look: Look) -> Drawing:
    """A ground hexagon before black, at any angle, with a chamfer, a countersink and a mark."""
    side, apothem = 600, 200.0
    at, turn = _Polar.about(side, 12, rng), float(rng.uniform(0, 360))
    towards = np.radians((at.angle - turn + 30) % 60 - 30)
    body = at.radius * np.cos(towards) < apothem
    hole = at.radius < 95
    ground = 6 * _grain(rng, (side, side), 0.8 * look.grain, 12 * look.grain)
    ground = _rotated(ground, -turn) + 3 * _grain(rng, (side, side), 2, 2)
    grey = 150 + rng.uniform(-6, 6) + ground
    grey = np.where(at.radius > 191, grey - 35, grey)
    sink = (at.radius >= 95) & (at.radius < 115)
    grey = np.where(sink, (175 if look.is_turned_over else 90) + ground, grey)
    mark = (np.abs(at.radius - 160) < 6) & (np.abs((at.angle - turn) % 360 - 180) < 25)
    grey = np.where(mark & (not look.is_turned_over), grey - 45, grey)
    grey = np.where(body, np.where(hole, 25, grey), 18)
    return _photographed(grey, body & ~hole, rng)


def _casting(rng: np.random.Generator, look: Look) -> Drawing:
    """A sand-cast disc with rim, hub and bores, before a bright ground lit from one side."""
    side = 512
    at = _Polar.about(side, 5, rng)
    body = at.radius < 225
    grey = np.select(
        [at.radius < 40, at.radius < 90, at.radius < 190, body], [40.0, 165.0, 140.0, 115.0], 205.0
    )
    for i in range(look.n_holes):
        towards = np.radians(at.angle - 60 * i - 10 - rng.uniform(-1, 1))
        to_bore = np.sqrt(at.radius**2 + 140**2 - 2 * 140 * at.radius * np.cos(towards))
        grey = np.where(to_bore < 22, 60, grey)
    skin = 9 * _grain(rng, (side, side), 1.6 * look.grain, 1.6 * look.grain)
    grey = grey + body * (skin + 5 * _grain(rng, (side, side), 6, 6))
    grey = grey + np.linspace(-0.5, 0.5, side) * rng.uniform(-25, 25) + rng.uniform(-10, 10)
    return _photographed(grey, body & (at.radius > 40), rng)


def _strip(rng: np.random.Generator, look: Look) -> Drawing:
    """Rolled strip that fills a wide picture, with grain along it and bands of uneven light."""
    shape = (400, 1000)
    rolled = 125 + 8 * _grain(rng, shape, 0.7 * look.grain, 30 * look.grain)
    phase = np.linspace(0, 2 * np.pi, shape[1]) + rng.uniform(0, 2 * np.pi)
    grey = rolled + 3 * _grain(rng, shape, 3, 3) + rng.uniform(5, 25) * np.sin(phase)
    return _photographed(grey + rng.uniform(-12, 12), np.ones(shape, bool), rng)


def _turned_face(rng: np.random.Generator, look: Look) -> Drawing:
    """A face from the lathe before black: rings, and the bow tie of light that they mirror."""
    side = 480
    at = _Polar.about(side, 8, rng)
    body = at.radius < 215
    rings = 14 * smooth_noise(rng, (400, 8), (0.9 * look.grain, 0.0))[:, 0]
    lamp = np.radians(at.angle) - rng.uniform(-0.15, 0.15)
    mirrored = 0.75 + 0.45 * np.cos(lamp) ** 4
    grey = (130 + np.interp(at.radius, np.arange(400), rings)) * mirrored
    grey = np.where(at.radius < 30, 35, np.where(body, grey, 12))
    return _photographed(grey, body & (at.radius > 30), rng)


PARTS: dict[str, Callable[[np.random.Generator, Look], Drawing]] = {
    "nut": _nut,
    "casting": _casting,
    "strip": _strip,
    "turned face": _turned_face,
}


def _scratch(good: Drawing, rng: np.random.Generator) -> Drawing:
    """A line a pixel or two wide, brighter or darker."""
    y, x = _spot(good.mask, 25, rng)
    reach, towards = rng.uniform(20, 60), rng.uniform(0, np.pi)
    along = np.linspace(-reach, reach, 6)
    points = np.stack([x + along * np.cos(towards), y + along * np.sin(towards)], axis=1)
    line = np.zeros(good.grey.shape, np.uint8)
    path = (points + rng.uniform(-4, 4, points.shape)).astype(np.int32)
    cv2.polylines(line, [path], False, WHITE, int(rng.integers(1, 3)), cv2.LINE_AA)
    share = _soft(line, 0.7) * good.mask
    change = rng.choice([-1, 1]) * rng.uniform(25, 55)
    return Drawing(grey=_field(good.grey + change * share), mask=share > 0.2)


def _pit(good: Drawing, rng: np.random.Generator) -> Drawing:
    """A small place that is darker and flatter."""
    share = _patch(good, rng.uniform(5, 12), 1.2, rng)
    return _blended(good, _smoothed(good, 15) - rng.uniform(25, 45), share)


def _stain(good: Drawing, rng: np.random.Generator) -> Drawing:
    """A large place that is a little darker and flatter."""
    share = _patch(good, rng.uniform(25, 55), 6, rng)
    smooth = _smoothed(good, 10)
    return _blended(good, smooth + 0.4 * (good.grey - smooth) - rng.uniform(8, 20), share)


def _worn(good: Drawing, rng: np.random.Generator) -> Drawing:
    """A place as bright as it was, without its texture."""
    return _blended(good, _smoothed(good, 5), _patch(good, rng.uniform(22, 45), 5, rng))


def _dent(good: Drawing, rng: np.random.Generator) -> Drawing:
    """A hollow: bright on one side, dark on the other, the texture as it was."""
    y, x = _spot(good.mask, 25, rng)
    size, towards = rng.uniform(10, 22), rng.uniform(0, 2 * np.pi)
    down, across = np.mgrid[: good.grey.shape[0], : good.grey.shape[1]]
    slope = ((across - x) * np.cos(towards) + (down - y) * np.sin(towards)) / size
    share = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * size**2)) * good.mask
    return Drawing(grey=_field(good.grey + rng.uniform(25, 45) * slope * share), mask=share > 0.3)


LOCAL: dict[str, Callable[[Drawing, np.random.Generator], Drawing]] = {
    "scratch": _scratch,
    "pit": _pit,
    "stain": _stain,
    "worn": _worn,
    "dent": _dent,
}


def _dull(good: Drawing) -> Drawing:
    """Darker, and of about half the contrast."""
    smooth = _smoothed(good, 12)
    return _blended(good, 0.9 * smooth + 0.55 * (good.grey - smooth), _field(good.mask))


def _dark(good: Drawing) -> Drawing:
    """Darker by a seventh, and otherwise the same."""
    return _blended(good, 0.85 * good.grey, _field(good.mask))


FINISHED: dict[str, Callable[[Drawing], Drawing]] = {"dull": _dull, "dark": _dark}
DEFECTS = (*LOCAL, *LOOKS, *FINISHED)  # of a place, then of the whole part


def _photographed(grey: NDArray[np.floating], mask: Mask, rng: np.random.Generator) -> Drawing:
    """Through a lens that is a little soft, onto a sensor with noise."""
    sharp = cv2.GaussianBlur(_field(grey), (0, 0), 0.9)
    return Drawing(grey=_field(sharp + rng.normal(0, 2, sharp.shape)), mask=mask)


def _grain(
    rng: np.random.Generator, shape: tuple[int, int], down_px: float, across_px: float
) -> Field:
    return smooth_noise(rng, shape, (down_px, across_px))


def _rotated(field: Field, angle_deg: float) -> Field:
    height, width = field.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle_deg, 1.0)
    return _field(cv2.warpAffine(field, turn, (width, height), borderMode=cv2.BORDER_REFLECT))


def _spot(part: Mask, from_edge_px: float, rng: np.random.Generator) -> tuple[int, int]:
    """A place (y, x) of the part, so far from its edges."""
    inside = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5) > from_edge_px
    places = np.argwhere(inside)
    y, x = places[rng.integers(len(places))]
    return int(y), int(x)


def _patch(good: Drawing, radius_px: float, soft_px: float, rng: np.random.Generator) -> Field:
    """The share, 0 to 1, of an ellipse on the part with soft edges."""
    y, x = _spot(good.mask, min(radius_px + 3, 25), rng)
    axes = (int(radius_px), int(radius_px * rng.uniform(0.5, 1)))
    disc = np.zeros(good.grey.shape, np.uint8)
    cv2.ellipse(disc, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, WHITE, -1)
    return _field(_soft(disc, soft_px) * good.mask)


def _soft(drawn: NDArray[np.uint8], sigma_px: float) -> Field:
    return _field(cv2.GaussianBlur(drawn.astype(np.float32) / WHITE, (0, 0), sigma_px))


def _smoothed(good: Drawing, sigma_px: float) -> Field:
    """The part blurred within its own outline: nothing of what lies around it."""
    part = _field(good.mask)
    around = cv2.GaussianBlur(part, (0, 0), sigma_px)
    within = cv2.GaussianBlur(good.grey * part, (0, 0), sigma_px) / np.maximum(around, 1e-3)
    return _field(np.where(good.mask, within, good.grey))


def _blended(good: Drawing, other: NDArray[np.floating], share: Field) -> Drawing:
    return Drawing(grey=_field(good.grey + share * (other - good.grey)), mask=share > 0.3)


def _field(values: NDArray[np.generic]) -> Field:
    return np.asarray(values, np.float32)
