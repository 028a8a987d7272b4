"""Defects of metal as layers: what each changes of a picture, and where.

A layer knows nothing of the picture it goes onto; `pasting` chooses place and contrast. Shapes are
drawn in px of a canvas whose `unit_px` is the short side of the picture, so that a defect keeps
its share of the part at any resolution.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.synthetic.noise import Field, fractal_noise, profile_noise, smooth_noise
from edgeinspect.data.synthetic.paths import path_field, wandering_path

__all__ = ["DefectKind", "Layer", "draw_defect"]

RUST_COLOURS = ((62, 34, 22), (112, 58, 28), (158, 92, 46))  # dark crust to light bloom, RGB
VISIBLE = 0.08  # share of a layer's strongest change below which a pixel counts as untouched


class DefectKind(str, enum.Enum):
    """The six local defects."""

    SCRATCH = "scratch"
    RUST = "rust"
    PIT = "pit"
    DENT = "dent"
    CRACK = "crack"
    STAIN = "stain"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """What a defect does inside its canvas.

    `shade` (h, w) is the change of grey, -1 to 1 in units of the contrast it is pasted with;
    `mask` (h, w) is where it is present, and nothing changes outside it. With a `colour`
    (h, w, 3) in 0 to 255, `shade` is instead how much of the colour covers the picture, 0 to 1.
    """

    shade: Field
    mask: NDArray[np.bool_]
    colour: NDArray[np.float32] | None = None


def draw_defect(
    kind: DefectKind, rng: np.random.Generator, *, unit_px: int, extent: float
) -> Layer:
    """Draw one defect.

    Args:
        unit_px: short side of the picture that it will lie on.
        extent: 0 for the smallest of its kind to 1 for the largest.
    Returns: a layer on a square canvas that holds the whole defect.
    """
    return _PAINTERS[kind](rng, unit_px, extent)


def _scratch(rng: np.random.Generator, unit_px: int, extent: float) -> Layer:
    """A thin wavering groove: dark core, one lit edge, pressure that comes and goes."""
    length = unit_px * (0.08 + 0.42 * extent)
    width = max(0.7, unit_px / 256 * (0.5 + 0.5 * extent))
    path = wandering_path(rng, length, wander_rad=0.05, step_px=max(2.0, length / 40))
    field = path_field(path, margin_px=5 * width + 2)
    pressure = 1 + 0.3 * profile_noise(rng, 64, 5.0)
    along = np.interp(field.position, np.linspace(0, 1, 64), pressure)
    along = along * np.clip(6 * field.position, 0, 1) * np.clip(6 * (1 - field.position), 0, 1)
    core = np.exp(-((field.distance_px / width) ** 2))
    edge = np.exp(-(((field.side * field.distance_px - 1.7 * width) / width) ** 2))
    shade = along * (0.6 * edge - core) * (1 if rng.random() < 0.7 else -1)
    return _layer(shade)


def _crack(rng: np.random.Generator, unit_px: int, extent: float) -> Layer:
    """A dark line with sharp turns that thins out and branches."""
    length = unit_px * (0.10 + 0.40 * extent)
    width = max(0.6, unit_px / 256 * (0.35 + 0.3 * extent))
    step = max(2.0, unit_px / 80)
    trunk = wandering_path(rng, length, wander_rad=0.45, step_px=step, pull=0.35)
    paths = [trunk]
    for at in np.flatnonzero(rng.random(len(trunk) - 4) < 0.10) + 2:
        heading = math.atan2(*(trunk[at + 1] - trunk[at])[::-1]) + rng.choice((-1, 1)) * 0.7
        reach = length * rng.uniform(0.10, 0.30)
        branch = wandering_path(
            rng, reach, wander_rad=0.45, step_px=step, pull=0.35, heading_rad=heading
        )
        paths.append(branch + trunk[at])
    field = path_field(*paths, margin_px=5 * width + 2)
    thinning = width * (0.45 + 0.55 * np.sqrt(np.clip(1 - field.position, 0, 1)))
    core = np.exp(-((field.distance_px / thinning) ** 2))
    halo = np.exp(-((field.distance_px / (2.5 * width)) ** 2))
    return _layer(-core - 0.12 * halo)


def _pit(rng: np.random.Generator, unit_px: int, extent: float) -> Layer:
    """One to three small dark hollows, each with a rim lit from one side."""
    radius = max(1.2, unit_px * (0.006 + 0.022 * extent))
    n_pits = int(rng.integers(1, 4))
    side = int(8 * radius * (1 if n_pits == 1 else 2)) + 8
    light = rng.uniform(0, 2 * math.pi)
    total = np.zeros((side, side), np.float32)
    for i in range(n_pits):
        reach = 0.0 if i == 0 else side / 2 - 3 * radius - 2
        centre = side / 2 + rng.uniform(-1, 1, 2) * reach
        one = _hollow(rng, side, centre, radius * (1 if i == 0 else rng.uniform(0.5, 0.9)), light)
        total = np.where(np.abs(one) > np.abs(total), one, total)
    return _layer(total)


def _hollow(
    rng: np.random.Generator, side: int, centre: NDArray[np.float64], radius: float, light: float
) -> Field:
    """Shade of one pit: dark inside, the far rim bright, the near one in shadow."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    dy, dx = y - centre[0], x - centre[1]
    angle = np.arctan2(dy, dx)
    ragged = 1 + sum(
        rng.uniform(0, 0.22 / k) * np.cos(k * angle + rng.uniform(0, 7)) for k in (2, 3, 5)
    )
    reach = np.hypot(dx, dy) / (radius * ragged)
    inside = 1 / (1 + np.exp(np.minimum((reach - 0.95) * 7, 80.0)))  # as float32, too
    rim = np.exp(-(((reach - 1.3) / 0.28) ** 2)) * np.cos(angle - light)
    shading = 0.25 * np.cos(angle - light) * np.clip(reach, 0, 1)
    hollow: Field = -inside * (0.85 - shading) + 0.7 * np.clip(rim, -0.25, 1)
    return hollow.astype(np.float32)


def _dent(rng: np.random.Generator, unit_px: int, extent: float) -> Layer:
    """A smooth hollow: one flank turned to the light, the other away, no edge."""
    radius = max(1.2, unit_px * (0.03 + 0.09 * extent))
    side = int(5.2 * radius) + 6
    y, x = (np.mgrid[:side, :side].astype(np.float32) - side / 2) / radius
    turn, stretch = rng.uniform(0, math.pi), rng.uniform(0.7, 1.0)
    u = (x * math.cos(turn) + y * math.sin(turn)) * stretch
    v = (-x * math.sin(turn) + y * math.cos(turn)) / stretch
    warp = 0.12 * smooth_noise(rng, (side, side), (radius / 2, radius / 2))
    height = -np.exp(-(u * u + v * v) * 1.4 * (1 + warp))
    down, across = np.gradient(height.astype(np.float32))
    light = rng.uniform(0, 2 * math.pi)
    shade = across * math.cos(light) + down * math.sin(light)
    shade = shade / np.abs(shade).max() * 0.55
    return _layer(shade, mask=-height > 0.12)


def _stain(rng: np.random.Generator, unit_px: int, extent: float) -> Layer:
    """A dried drop: a low-contrast smooth blotch, its border a little stronger."""
    blotch = _blotch(rng, unit_px * (0.04 + 0.12 * extent), roughness=0.28)
    body = 1 / (1 + np.exp(-blotch * 9))
    border = np.exp(-((blotch / 0.14) ** 2))
    clouds = 1 + 0.18 * smooth_noise(rng, (len(body), len(body)), (unit_px / 40, unit_px / 40))
    shade = (0.38 * body + 0.16 * border) * clouds * (-1 if rng.random() < 0.7 else 1)
    return _layer(shade)


def _rust(rng: np.random.Generator, unit_px: int, extent: float) -> Layer:
    """A mottled brown patch: crust in the middle, a fuzzy border, specks around it."""
    blotch = _blotch(rng, unit_px * (0.03 + 0.12 * extent), roughness=0.5)
    side = len(blotch)
    grain = fractal_noise(
        rng, (side, side), coarsest_px=max(2, unit_px / 50), n_octaves=4, gain=0.8
    )
    cover = 1 / (1 + np.exp(-(blotch * 4.5 + 0.75 * grain + 0.2)))
    cover = cover * np.clip(1 + 2.2 * (blotch + 0.45), 0, 1)
    tone = np.clip(1.0 + 0.55 * grain - 0.5 * blotch, 0, 2)
    colour = np.stack(
        [np.interp(tone, (0, 1, 2), channel) for channel in zip(*RUST_COLOURS, strict=True)], -1
    )
    cover = cover.astype(np.float32)
    return Layer(shade=cover, mask=cover > VISIBLE, colour=colour.astype(np.float32))


def _blotch(rng: np.random.Generator, radius: float, *, roughness: float) -> Field:
    """A field above 0 inside an irregular patch of about `radius` px, falling outwards."""
    radius = max(radius, 2.5)
    side = int(4.4 * radius) + 6
    y, x = (np.mgrid[:side, :side].astype(np.float32) - side / 2) / radius
    turn, stretch = rng.uniform(0, math.pi), rng.uniform(0.65, 1.0)
    u = (x * math.cos(turn) + y * math.sin(turn)) * stretch
    v = (-x * math.sin(turn) + y * math.cos(turn)) / stretch
    ragged = fractal_noise(rng, (side, side), coarsest_px=max(1.5, radius / 2.5), n_octaves=3)
    fade = np.clip((2.1 - np.hypot(x, y)) / 0.5, 0, 1)
    field = 1 - np.sqrt(u * u + v * v) + roughness * 0.5 * ragged
    faded: Field = field * fade - 1.2 * (1 - fade)
    return faded.astype(np.float32)


def _layer(shade: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> Layer:
    """A layer of grey; without a mask, its mask is where the shade is visible, holes closed."""
    shade = shade.astype(np.float32)
    if mask is None:
        visible = (np.abs(shade) > VISIBLE * np.abs(shade).max()).astype(np.uint8)
        mask = cv2.morphologyEx(visible, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    return Layer(shade=np.where(mask, shade, 0).astype(np.float32), mask=mask)


_Painter = Callable[[np.random.Generator, int, float], Layer]
_PAINTERS: Mapping[DefectKind, _Painter] = MappingProxyType(
    {
        DefectKind.SCRATCH: _scratch,
        DefectKind.RUST: _rust,
        DefectKind.PIT: _pit,
        DefectKind.DENT: _dent,
        DefectKind.CRACK: _crack,
        DefectKind.STAIN: _stain,
    }
)
