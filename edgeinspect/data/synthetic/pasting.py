"""A defect onto a good picture, with a contrast that the picture's own greys set.

What looks strong on polished steel is invisible on a casting. So a defect's contrast is counted in
the grey range (1st to 99th percentile) of the part around it. Serves the synthetic data sets and
every choice that is made on good pictures (`calibrate --select`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.luminance import luminance_of
from edgeinspect.data.synthetic.defects import DefectKind, Layer, draw_defect
from edgeinspect.data.synthetic.part import find_part

__all__ = ["FAINTEST", "PER_SEVERITY", "Pasted", "paste_defect"]

# Contrast in grey ranges at severity 0, and how much more at 1. Measured on real parts: below 0.2
# no rule of scoring sees anything, from 1.5 on most do.
FAINTEST, PER_SEVERITY = 0.15, 1.35
LEAST_RANGE = 12.0  # grey levels; a flat surface still hides changes below the camera's noise
N_PLACES = 12
MOSTLY = 0.8  # share of a defect that should lie on the part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pasted:
    """A picture (H, W, 3) uint8 with one defect; outside `mask` (H, W) it is as it was."""

    picture: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    kind: DefectKind


def paste_defect(
    picture: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    severity: float,
    kinds: Sequence[DefectKind] | None = None,
) -> Pasted:
    """Paste one defect of a random kind and size at a random place of the part.

    Args:
        picture: (H, W, 3) RGB; a grey picture stays grey.
        severity: 0 faint, 1 strong, beyond stronger; contrast grows with it, size a little.
        kinds: which to choose from; all six if not given.
    Returns: a changed copy; at least one pixel of the mask is on the picture.
    """
    options = list(DefectKind) if kinds is None else list(kinds)
    kind = options[int(rng.integers(len(options)))]
    height, width = picture.shape[:2]
    extent = float(np.clip(rng.uniform(0, 0.8) + 0.2 * severity, 0, 1))
    layer = draw_defect(kind, rng, unit_px=min(height, width), extent=extent)
    part = find_part(picture)
    spot = _choose_spot(layer, part, rng)
    grey_range = _grey_range(picture, part, spot.centre)
    contrast = (FAINTEST + PER_SEVERITY * severity) * grey_range * rng.uniform(0.8, 1.2)
    changed, mask = picture.copy(), np.zeros((height, width), bool)
    seen = Layer(
        shade=layer.shade[spot.here],
        mask=layer.mask[spot.here] & part[spot.there],
        colour=None if layer.colour is None else layer.colour[spot.here],
    )
    changed[spot.there] = _blend(picture[spot.there], seen, contrast)
    mask[spot.there] = seen.mask
    return Pasted(picture=changed, mask=mask, kind=kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    """Where a layer goes: its anchor on `centre` (y, x), its piece `here` on the piece `there`."""

    centre: tuple[int, int]
    here: tuple[slice, slice]
    there: tuple[slice, slice]


def _choose_spot(layer: Layer, part: NDArray[np.bool_], rng: np.random.Generator) -> _Spot:
    """The first of some places on the part where most of the defect lies on it, or the best."""
    ys, xs = np.nonzero(layer.mask)
    nearest = int(np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2))
    anchor = (int(ys[nearest]), int(xs[nearest]))
    rows, columns = np.nonzero(part)
    shares, spots = [], []
    for i in rng.integers(len(rows), size=N_PLACES):
        spot = _spot(layer, anchor, (int(rows[i]), int(columns[i])), part.shape)
        shares.append((layer.mask[spot.here] & part[spot.there]).sum() / len(ys))
        spots.append(spot)
        if shares[-1] >= MOSTLY:
            return spot
    return spots[int(np.argmax(shares))]


def _spot(
    layer: Layer, anchor: tuple[int, int], centre: tuple[int, int], shape: tuple[int, ...]
) -> _Spot:
    here, there = [], []
    for at, own, side, limit in zip(centre, anchor, layer.mask.shape, shape, strict=True):
        start = at - own
        first, last = max(0, start), min(limit, start + side)
        here.append(slice(first - start, last - start))
        there.append(slice(first, last))
    return _Spot(centre=centre, here=(here[0], here[1]), there=(there[0], there[1]))


def _grey_range(
    picture: NDArray[np.uint8], part: NDArray[np.bool_], centre: tuple[int, int]
) -> float:
    """1st to 99th percentile of the part's grey around a pixel of it, at least `LEAST_RANGE`."""
    (y, x), reach = centre, max(8, min(part.shape) // 8)
    window = np.s_[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
    darkest, brightest = np.percentile(luminance_of(picture[window])[part[window]], (1, 99))
    return max(float(brightest - darkest), LEAST_RANGE)


def _blend(picture: NDArray[np.uint8], layer: Layer, contrast: float) -> NDArray[np.uint8]:
    """The layer over a piece of picture (h, w, 3), at most `contrast` grey levels of change."""
    before = picture.astype(np.float32)
    if layer.colour is None:
        change = np.repeat(contrast * layer.shade[..., None], 3, axis=-1)
        change *= _direction(before, change)
    else:
        change = _cover(before, layer.colour) * layer.shade[..., None]
        strongest = float(np.percentile(np.abs(change).max(axis=-1)[layer.mask], 90))
        change *= min(1.0, contrast / max(strongest, 1.0))
    after = np.clip(np.rint(before + change), 0, 255).astype(np.uint8)
    return np.where(layer.mask[..., None], after, picture)


def _direction(before: NDArray[np.float32], change: NDArray[np.float32]) -> int:
    """1, or -1 where black or white would swallow more of the change than of its opposite."""
    left = [np.abs(np.clip(before + sign * change, 0, 255) - before).sum() for sign in (1, -1)]
    return 1 if left[0] >= 0.7 * left[1] else -1


def _cover(before: NDArray[np.float32], colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Full change towards a colour; towards its grey where the picture itself is grey."""
    if not np.ptp(before, axis=-1).any():
        colour = np.repeat(luminance_of(colour)[..., None], 3, axis=-1)
    return colour - before
