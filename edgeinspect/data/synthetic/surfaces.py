"""Surfaces of metal as a camera with one lamp sees them: brushed, rolled, cast, machined.

A `Surface` is what the parts of one data set share (finish, tone, direction of the light); each
picture of it draws its own texture and a slightly different exposure, as parts on a line do.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.synthetic.noise import Field, fractal_noise, profile_noise, smooth_noise

__all__ = ["Finish", "Surface", "draw_surface", "render_surface"]


class Finish(str, enum.Enum):
    """How the metal was made."""

    BRUSHED = "brushed"
    ROLLED = "rolled"
    CAST = "cast"
    MACHINED = "machined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What the parts of one data set share.

    `tone` is the mean grey, 0 to 1; `tint` the channels' factors; `light_rad` where the light
    comes from; `centre` (y, x) the axis of a machined part, in sides of the picture.
    """

    finish: Finish
    tone: float
    tint: tuple[float, float, float]
    light_rad: float
    centre: tuple[float, float]


_TONES = {Finish.BRUSHED: 0.55, Finish.ROLLED: 0.60, Finish.CAST: 0.42, Finish.MACHINED: 0.50}


def draw_surface(finish: Finish, rng: np.random.Generator) -> Surface:
    """The look of one data set of this finish."""
    warmth = rng.uniform(-0.02, 0.02)
    bearing, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.0, 0.9)
    return Surface(
        finish=finish,
        tone=_TONES[finish] + rng.uniform(-0.04, 0.04),
        tint=(0.985 + warmth, 1.0, 1.02 - warmth),
        light_rad=rng.uniform(-2.6, -0.6),
        centre=(0.5 + reach * math.sin(bearing), 0.5 + reach * math.cos(bearing)),
    )


def render_surface(surface: Surface, rng: np.random.Generator, size_px: int) -> NDArray[np.uint8]:
    """A good part of this surface: (size, size, 3) RGB."""
    painters = {
        Finish.BRUSHED: _brushed,
        Finish.ROLLED: _rolled,
        Finish.CAST: _cast,
        Finish.MACHINED: _machined,
    }
    light = painters[surface.finish](surface, rng, size_px)
    exposed = light * _vignette(size_px) * rng.uniform(0.96, 1.04)
    grain = rng.normal(0, 0.006, exposed.shape).astype(np.float32)
    rgb = (_film(exposed) + grain)[..., None] * np.array(surface.tint, np.float32)
    picture: NDArray[np.uint8] = np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)
    return picture


def _brushed(surface: Surface, rng: np.random.Generator, size_px: int) -> Field:
    """Fine parallel streaks of many lengths, and the soft band that they mirror the lamp into."""
    unit = size_px / 256
    streaks: Field = np.zeros((size_px, size_px), np.float32)
    for weight, down, across in (
        (0.40, 0.35, 8),
        (0.55, 0.45, 40),
        (0.40, 0.9, 120),
        (0.25, 4.0, 160),
    ):
        streaks += np.float32(weight) * smooth_noise(
            rng, streaks.shape, (down * unit, across * unit)
        )
    streaks = _turned(streaks, float(rng.normal(0, 0.6)))
    y, x = _coordinates(size_px)
    at = 0.5 + 0.25 * math.cos(surface.light_rad) + rng.normal(0, 0.03)
    band = np.exp(-(((x - at + 0.10 * (y - 0.5)) / 0.38) ** 2))
    glow = surface.tone * (0.72 + 0.50 * band + 0.06 * (0.5 - y))
    light: Field = (glow * (1 + 0.085 * (0.5 + 0.5 * band) * streaks)).astype(np.float32)
    return light


def _rolled(surface: Surface, rng: np.random.Generator, size_px: int) -> Field:
    """Short grain along the strip, cloudy patches of mill finish, faint marks of the rolls."""
    unit = size_px / 256
    shape = (size_px, size_px)
    grain = smooth_noise(rng, shape, (0.6 * unit, 1.2 * unit))
    grain = 0.7 * grain + 0.6 * smooth_noise(rng, shape, (1.0 * unit, 4.5 * unit))
    clouds = fractal_noise(rng, shape, coarsest_px=30 * unit, n_octaves=4, gain=0.65)
    rolls = 0.6 * np.clip(profile_noise(rng, size_px, 1.0 * unit) ** 3 / 3, -3, 3)
    rolls = rolls + 0.9 * profile_noise(rng, size_px, 6 * unit)
    fading = 0.7 + 0.4 * smooth_noise(rng, shape, (14 * unit, 70 * unit))
    y, x = _coordinates(size_px)
    slope = math.cos(surface.light_rad) * (x - 0.5) - math.sin(surface.light_rad) * (0.5 - y)
    texture = 0.032 * grain + 0.026 * clouds + 0.022 * rolls[:, None] * fading
    light: Field = surface.tone * (1 + 0.18 * slope + texture)
    return light.astype(np.float32)


def _cast(surface: Surface, rng: np.random.Generator, size_px: int) -> Field:
    """A bumpy skin of sand grains, shaded as the height map it is, hollows darker."""
    unit = size_px / 256
    shape = (size_px, size_px)
    bumps = 0.55 * smooth_noise(rng, shape, (1.6 * unit, 1.6 * unit))
    bumps += 0.16 * smooth_noise(rng, shape, (0.7 * unit, 0.7 * unit))
    bumps += 0.75 * smooth_noise(rng, shape, (4.5 * unit, 4.5 * unit))
    swell = smooth_noise(rng, shape, (26 * unit, 26 * unit))
    height = ((bumps + 2.2 * swell) * unit).astype(np.float32)
    down, across = np.gradient(height)
    lamp = -across * math.cos(surface.light_rad) - down * math.sin(surface.light_rad)
    steepness = np.sqrt(1 + across**2 + down**2)
    facing = (0.80 + 0.50 * lamp) / steepness
    glints = 1.2 * np.clip(lamp / steepness - 0.42, 0, 0.4)
    hollows = 0.07 * np.clip(-bumps - 0.8, 0, 2)
    sand = 0.035 * smooth_noise(rng, shape, (0.6 * unit, 0.6 * unit))
    y, _ = _coordinates(size_px)
    light: Field = surface.tone * 1.25 * (facing + glints - hollows + sand) * (1.06 - 0.12 * y)
    return np.clip(light, 0.03, None).astype(np.float32)


def _machined(surface: Surface, rng: np.random.Generator, size_px: int) -> Field:
    """Rings of a lathe or mill around an axis, and the bow tie of light that they mirror."""
    unit = size_px / 256
    y, x = _coordinates(size_px)
    cy, cx = (c + rng.normal(0, 0.01) for c in surface.centre)
    radius = np.hypot(y - cy, x - cx) * size_px
    n_rings = int(radius.max()) + 3
    feed = rng.uniform(0, 6.28) + np.arange(n_rings) * 2 * math.pi / (4.2 * unit)
    rings = 0.55 * np.sin(feed + 0.5 * profile_noise(rng, n_rings, 12 * unit))
    rings = rings + 0.6 * profile_noise(rng, n_rings, 0.7 * unit)
    rings = rings + 0.5 * profile_noise(rng, n_rings, 5 * unit)
    groove = np.interp(radius, np.arange(n_rings), rings)
    angle = np.arctan2(y - cy, x - cx)
    tie = np.abs(np.cos(angle - surface.light_rad)) ** 5 * np.clip(radius / (18 * unit), 0, 1)
    broken = 1 + 0.25 * smooth_noise(rng, (size_px, size_px), (2 * unit, 2 * unit))
    glow = surface.tone * (0.80 + 0.42 * tie)
    light: Field = glow * (1 + (0.05 + 0.07 * tie) * groove * broken)
    return light.astype(np.float32)


def _vignette(size_px: int) -> Field:
    """The lens's fall-off: 1 in the middle, about 0.88 in the corners."""
    y, x = _coordinates(size_px)
    fall: Field = (1 - 0.24 * ((y - 0.5) ** 2 + (x - 0.5) ** 2)).astype(np.float32)
    return fall


def _film(light: Field) -> Field:
    """Highlights roll off instead of clipping."""
    bent: Field = np.where(light < 0.7, light, 0.7 + 0.3 * np.tanh((light - 0.7) / 0.3))
    return bent.astype(np.float32)


def _turned(field: Field, angle_deg: float) -> Field:
    """The field turned about its middle; mirrored content fills the corners."""
    side = len(field)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), angle_deg, 1.0)
    turned = cv2.warpAffine(field, turn, (side, side), borderMode=cv2.BORDER_REFLECT)
    return turned.astype(np.float32)


def _coordinates(size_px: int) -> tuple[Field, Field]:
    """(y, x), each (size, size), 0 to 1."""
    steps = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return y.astype(np.float32), x.astype(np.float32)
