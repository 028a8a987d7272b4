"""Images at one mean and spread, as the graph sees them (`model.equalise`): for looking at them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import Equalisation

__all__ = ["LEAST_SPREAD", "MEAN", "SPREAD", "equalise_images"]

MEAN, SPREAD = 0.5, 0.17
LEAST_SPREAD = 0.01  # an empty picture is not blown up into noise


def equalise_images(images: NDArray[np.uint8], how: Equalisation) -> NDArray[np.float32]:
    """(n, H, W, 3), 0 to 255 -> the same in [0, 1], as they were or with mean 0.5, spread 0.17."""
    scaled: NDArray[np.float32] = images / np.float32(255)
    if how is Equalisation.NONE:
        return scaled
    mean, spread = (of(scaled, axis=(1, 2, 3), keepdims=True) for of in (np.mean, np.std))
    equal = (scaled - mean) * (SPREAD / np.maximum(spread, LEAST_SPREAD)) + MEAN
    return np.asarray(equal.clip(0, 1), np.float32)
