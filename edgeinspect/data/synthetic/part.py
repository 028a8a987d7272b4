"""Where the part is in a picture, as far as its border tells."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.luminance import luminance_of

__all__ = ["find_part"]

PART_SIDE = 512  # px; enough to tell a part from what lies behind it
LEAST_PART, MOST_PART = 0.02, 0.95  # shares of the picture that a part in front of something has


def find_part(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W), false on the background: an even border's grey, where the part stands out from it.

    The background may be lit from one side: a plane of grey is fitted to the border. Where the
    border is as uneven as the rest, the part fills the picture. Large pictures are looked at
    through every n-th pixel.
    """
    height, width = picture.shape[:2]
    step = max(1, max(height, width) // PART_SIDE)
    grey = luminance_of(picture[::step, ::step])
    plane, unevenness = _border_plane(grey)
    darkest, brightest = np.percentile(grey, (1, 99))
    if unevenness < 0.25 * (brightest - darkest):
        apart = np.clip(np.abs(grey - plane), 0, 255).astype(np.uint8)
        _, split = cv2.threshold(apart, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        span = 2 * (min(grey.shape) // 80) + 3  # closes over highlights as bright as the background
        split = cv2.morphologyEx(split, cv2.MORPH_CLOSE, np.ones((span, span), np.uint8))
        if LEAST_PART < split.mean() < MOST_PART:
            whole = cv2.resize(split, (width, height), interpolation=cv2.INTER_NEAREST)
            return np.asarray(whole > 0)
    return np.ones((height, width), bool)


def _border_plane(grey: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """(plane of grey through the border (H, W), 5th to 95th percentile of the border about it)."""
    height, width = grey.shape
    is_border = np.ones(grey.shape, bool)
    is_border[2:-2, 2:-2] = False
    y, x = np.nonzero(is_border)
    terms = np.stack([np.ones(len(y)), y / height, x / width], axis=-1)
    values = grey[y, x].astype(np.float64)
    (level, down, across), *_ = np.linalg.lstsq(terms, values, rcond=None)
    low, high = np.percentile(values - terms @ (level, down, across), (5, 95))
    rows, columns = np.arange(height) / height, np.arange(width) / width
    return level + down * rows[:, None] + across * columns, float(high - low)
