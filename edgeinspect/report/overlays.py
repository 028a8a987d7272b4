"""Pictures for people: heat over the grey picture, boxes around regions, verdict and score.

Drawn for the records of a run, the demo and the evaluation. The map's level is the middle of the
colour scale in every picture: up to orange a pixel is odd, from red on it speaks for NG.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.numbers import three_digits
from edgeinspect.runtime.inspection import Inspection, Verdict
from edgeinspect.runtime.regions import Region

__all__ = ["blend_heat", "draw_overlay", "draw_part", "encode_jpeg", "encode_map", "heat_strength"]

Picture = NDArray[np.uint8]

SHORTEST_SIDE = 360  # px; smaller pictures are enlarged so that text fits
LONGEST_SIDE = 1600  # px; larger ones are shrunk, an overlay is to be looked at
GREY_SHARE = 0.9  # of the picture's brightness where there is no heat
FULL_HEAT = 4.0  # levels that are shown by the strongest colour, unless the map has more
STRONGEST = 0.9  # share of the heat's colour where the map is strongest
MAP_STEPS = 256  # of the 16-bit map in one z unit
JPEG_QUALITY = 90

VERDICT_COLOURS = {
    Verdict.OK: (46, 160, 67),
    Verdict.NG: (214, 40, 40),
    Verdict.NOT_INSPECTED: (130, 130, 130),
}
AIR_PX = 4  # between a region and its box
BOX_COLOUR = (90, 230, 255)
CAPTION_GROUND = (24, 26, 30)
CAPTION_TEXT = (236, 238, 240)
# (share of the scale, RGB): yellow, orange, red. All bright, as defects and metal are dark.
HEAT_STOPS = (
    (0.0, (255, 225, 40)),
    (0.25, (255, 165, 10)),
    (0.5, (250, 75, 15)),
    (1.0, (225, 0, 50)),
)


def heat_strength(anomaly_map: NDArray[np.float32], *, level: float) -> NDArray[np.float32]:
    """How much heat a map shows, 0 to 1 in its own shape: none below half of `level`, 0.5 at it.

    Beyond the level it grows by the logarithm, so that a strong defect hides neither how far it
    reaches nor where it is; the map's maximum is 1, or four times the level if that is more. A map
    that is not finite there shows none.
    """
    level = level if math.isfinite(level) and level > 0 else 1.0
    share = anomaly_map.astype(np.float64) / level
    full = float(share.max(initial=FULL_HEAT, where=np.isfinite(share)))
    share = np.nan_to_num(share, nan=0.0, posinf=full, neginf=0.0)
    below = np.clip(share - 0.5, 0.0, 0.5)
    above = 0.5 * np.log(np.clip(share, 1.0, full)) / math.log(full)
    return np.asarray(below + above, np.float32)


def blend_heat(picture: Picture, anomaly_map: NDArray[np.float32], *, level: float) -> Picture:
    """Heat over the grey of a picture (H, W, 3) RGB; the map may have another size.

    Args:
        anomaly_map: (h, w), of the whole picture, brought to its size here.
        level: z from where the map speaks for NG, such as `Inspection.map_level`.
    """
    import cv2

    height, width = picture.shape[:2]
    strength = heat_strength(anomaly_map, level=level)
    strength = _array(cv2.resize(strength, (width, height), interpolation=cv2.INTER_LINEAR))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] * GREY_SHARE
    colour = _heat_table()[np.rint(255 * strength).astype(np.uint8)].astype(np.float32)
    share = STRONGEST * np.cbrt(strength)[..., None]
    return np.asarray(np.rint(grey * (1 - share) + colour * share), np.uint8)


def draw_overlay(picture: Picture, inspection: Inspection, *, title: str = "") -> Picture:
    """A part as people look at it: heat, boxes and a caption below, (H', W', 3) RGB.

    The picture, (H, W, 3) RGB or (H, W) grey, is enlarged or shrunk to a size that can be read.
    """
    part = draw_part(picture, inspection)
    return np.concatenate([part, _caption(part.shape[1], inspection, title)])


def draw_part(picture: Picture, inspection: Inspection) -> Picture:
    """The same without a caption."""
    import cv2

    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    factor = _zoom(picture.shape[:2])
    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    canvas = _array(cv2.resize(picture, (width, height), interpolation=how)).astype(np.uint8)
    if inspection.anomaly_map is not None and inspection.map_level is not None:
        canvas = blend_heat(canvas, inspection.anomaly_map, level=inspection.map_level)
    for region in inspection.regions:
        _draw_box(canvas, region, factor)
    return canvas


def encode_map(anomaly_map: NDArray[np.float32]) -> bytes:
    """A map as a 16-bit grey PNG: z = value / 256; below 0 is 0, above 255.99 is 65535."""
    import cv2

    finite = np.nan_to_num(anomaly_map, nan=0.0, posinf=65535.0, neginf=0.0)
    steps = np.clip(np.rint(finite * MAP_STEPS), 0, 65535).astype(np.uint16)
    return bytes(cv2.imencode(".png", steps)[1].tobytes())


def encode_jpeg(picture: Picture) -> bytes:
    """A picture (H, W, 3) RGB or (H, W) grey as the bytes of a JPEG file."""
    import cv2

    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    pixels = np.ascontiguousarray(picture if picture.ndim == 2 else picture[..., ::-1])
    return bytes(cv2.imencode(".jpg", pixels, quality)[1].tobytes())


@functools.lru_cache(maxsize=1)
def _heat_table() -> Picture:
    """(256, 3) RGB, from the stops."""
    at = np.linspace(0, 1, 256)
    stops = np.array([share for share, _ in HEAT_STOPS])
    colours = np.array([colour for _, colour in HEAT_STOPS], float)
    channels = [np.interp(at, stops, colours[:, c]) for c in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=1)), np.uint8)


def _zoom(picture_hw: tuple[int, ...]) -> float:
    short, long = min(picture_hw), max(picture_hw)
    return min(max(1, math.ceil(SHORTEST_SIDE / short)), LONGEST_SIDE / long)


def _draw_box(canvas: Picture, region: Region, factor: float) -> None:
    """A box around a region, thin and bright on a dark rim."""
    import cv2

    x, y, width, height = (factor * side for side in region.box)
    bottom, right = canvas.shape[0] - 2, canvas.shape[1] - 2
    start = (max(1, round(x) - AIR_PX), max(1, round(y) - AIR_PX))
    end = (min(right, round(x + width) + AIR_PX), min(bottom, round(y + height) + AIR_PX))
    cv2.rectangle(canvas, start, end, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.rectangle(canvas, start, end, BOX_COLOUR, 1, cv2.LINE_AA)


def _caption(width: int, inspection: Inspection, title: str) -> Picture:
    """A strip with the verdict on its colour, the score against the threshold, and a title."""
    import cv2

    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.5
    strip: Picture = np.full((34, width, 3), CAPTION_GROUND, np.uint8)
    word = inspection.verdict.value
    (chip_w, text_h), _ = cv2.getTextSize(word, font, scale, 1)
    base = (34 + text_h) // 2
    cv2.rectangle(strip, (0, 0), (chip_w + 20, 34), VERDICT_COLOURS[inspection.verdict], -1)
    cv2.putText(strip, word, (10, base), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
    at = chip_w + 32
    for text in (_score_text(inspection), title):
        text = text.encode("ascii", errors="replace").decode()  # all that this font can draw
        (text_w, _), _ = cv2.getTextSize(text, font, scale, 1)
        if at + text_w > width - 8:
            break
        cv2.putText(strip, text, (at, base), font, scale, CAPTION_TEXT, 1, cv2.LINE_AA)
        at += text_w + 20
    return strip


def _score_text(inspection: Inspection) -> str:
    if inspection.reason is not None:
        return inspection.reason.value
    assert inspection.score is not None, "an inspected part has a score"
    score, limit = three_digits(inspection.score), three_digits(inspection.threshold)
    return f"score {score}  limit {limit}"


def _array(value: Any) -> NDArray[Any]:
    return np.asarray(value)
