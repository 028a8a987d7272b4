"""Pictures that show no part: far darker or flatter than any that calibrated.

Between preparing and the verdict. An error cannot fall below 0, and a picture with little in it is
easily reconstructed: with pixels as target a black one may score like a good part
(docs/decisions/0021). No score makes it OK.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.appearance import Appearance

__all__ = ["BlankCheck"]

SHARE = 0.25  # of the least that good pictures had; those of three real parts have 0.7 and more
SAMPLE_PX = 65_536  # about as many pixels are looked at, evenly spread: 0.2 to 1 ms of a core


class BlankCheck:
    """Knows the least mean and contrast of good pictures; without any, no picture is blank."""

    def __init__(self, good_appearance: NDArray[np.float64]) -> None:
        """`good_appearance` (n, 3): mean, spread and gradient of each, n may be 0."""
        looks = good_appearance[:, :2] if len(good_appearance) else np.zeros((1, 2))
        self._mean, self._spread = looks.min(axis=0)

    def why(self, picture: NDArray[np.uint8]) -> str | None:
        """Why a picture (H, W, 3) or (H, W) shows no part, in words; None if it may show one."""
        # An odd step sees every place of a pattern that repeats after two, as a Bayer mosaic does.
        step = math.isqrt(picture.shape[0] * picture.shape[1] // SAMPLE_PX) | 1
        seen = Appearance.of(picture[::step, ::step])
        for name, value, least in (
            ("mean grey level", seen.mean, self._mean),
            ("contrast", seen.spread, self._spread),
        ):
            if value < SHARE * least:
                return (
                    f"blank: its {name} is {value:.3g}, that of good pictures {least:.3g} or more"
                )
        return None
