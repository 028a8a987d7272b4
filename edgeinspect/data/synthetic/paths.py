"""Lines that wander, and where each pixel lies relative to them: what scratches and cracks follow.

Distances are exact for the polyline, so a line thinner than a pixel is drawn smoothly without
drawing anything larger first.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PathField", "path_field", "wandering_path"]

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PathField:
    """Each pixel's place relative to the nearest line, (h, w) each.

    `position` runs from 0 at a line's start to 1 at its end; `side` is 1 or -1.
    """

    distance_px: NDArray[np.float32]
    position: NDArray[np.float32]
    side: NDArray[np.float32]


def wandering_path(
    rng: np.random.Generator,
    length_px: float,
    *,
    wander_rad: float,
    step_px: float,
    pull: float = 0.05,
    heading_rad: float | None = None,
) -> Points:
    """Points (n, 2) as (x, y) from the origin on; n >= 6.

    Each step turns by normal noise of `wander_rad`, and back to the first heading by `pull`: 0
    drifts away, 1 forgets at once and looks jagged.
    """
    n_steps = max(5, round(length_px / step_px))
    first = rng.uniform(0, 2 * math.pi) if heading_rad is None else heading_rad
    turn, headings = 0.0, np.empty(n_steps)
    for i, noise in enumerate(rng.normal(0, wander_rad, n_steps)):
        turn = (1 - pull) * turn + noise
        headings[i] = first + turn
    steps = np.stack([np.cos(headings), np.sin(headings)], -1) * (length_px / n_steps)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


def path_field(*paths: Points, margin_px: float) -> PathField:
    """The field of polylines (n, 2) on the smallest canvas that holds them and a margin.

    Beyond `margin_px` from every line the distance is infinite.
    """
    every = np.concatenate(paths)
    offset = every.min(axis=0) - margin_px
    width, height = np.ceil(every.max(axis=0) - offset + margin_px).astype(int) + 1
    distance = np.full((height, width), np.inf, np.float32)
    position = np.zeros((height, width), np.float32)
    side = np.ones((height, width), np.float32)
    field = PathField(distance_px=distance, position=position, side=side)
    for path in paths:
        moved = path - offset
        for i, (start, end) in enumerate(itertools.pairwise(moved)):
            _add_segment(field, start, end, (i, len(path) - 1), margin_px)
    return field


def _add_segment(
    field: PathField, start: Points, end: Points, place: tuple[int, int], margin_px: float
) -> None:
    """Enter one segment, the `place[0]`-th of `place[1]`, into the pixels that it is nearest to."""
    shape = np.array(field.distance_px.shape[::-1])
    low = np.floor(np.minimum(start, end) - margin_px).astype(int).clip(0)
    high = np.minimum(np.ceil(np.maximum(start, end) + margin_px).astype(int) + 1, shape)
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    y, x = np.mgrid[window].astype(np.float64)
    (dx, dy), (px, py) = end - start, (x - start[0], y - start[1])
    share = np.clip((px * dx + py * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
    distance = np.hypot(px - share * dx, py - share * dy)
    is_nearer = (distance < field.distance_px[window]) & (distance <= margin_px)
    side = np.where(dx * py - dy * px >= 0, 1.0, -1.0)
    field.distance_px[window][is_nearer] = distance[is_nearer]
    field.position[window][is_nearer] = ((place[0] + share) / place[1])[is_nearer]
    field.side[window][is_nearer] = side[is_nearer]
