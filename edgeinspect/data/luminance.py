"""The grey value of a colour, the same wherever pictures are compared by brightness.

Serves the error measures and the SSIM loss (as weights), the baselines and the synthetic defects.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LUMINANCE", "luminance_of"]

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601


def luminance_of(picture: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Luminance (..., H, W) of RGB (..., H, W, 3), in the same range."""
    return np.asarray(picture.astype(np.float32, copy=False) @ np.array(LUMINANCE, np.float32))
