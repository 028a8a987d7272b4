"""How a picture looks as a whole: the few numbers by which sets of pictures are compared.

Beside the flow. Good pictures that fall into groups (`populations`), or test pictures that look
unlike those of training (`shift`), make every figure measure that difference as well.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.luminance import LUMINANCE

__all__ = ["Appearance", "Trait"]


class Trait(str, enum.Enum):
    """A number of `Appearance`, in the words of warnings."""

    MEAN = "mean intensity"
    SPREAD = "contrast"
    GRADIENT = "gradient"

    def of(self, appearances: Sequence[Appearance]) -> NDArray[np.float64]:
        """(n,) values of it."""
        return np.array([getattr(one, self.name.lower()) for one in appearances], np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """Mean and spread of a picture's grey values (0 to 255), and its gradient.

    `gradient` is the mean difference of neighbouring pixels, over both directions: what focus,
    noise and surface finish change.
    """

    mean: float
    spread: float
    gradient: float

    def as_row(self) -> tuple[float, float, float]:
        """Mean, spread and gradient, in the order of `Trait`."""
        return self.mean, self.spread, self.gradient

    @classmethod
    def of(cls, picture: NDArray[np.uint8]) -> Appearance:
        """Of a picture (H, W, 3), or (H, W) grey: 12 ms of a core for five megapixels."""
        import cv2

        grey = picture.astype(np.float32)
        if grey.ndim == 3:
            grey = np.asarray(cv2.transform(grey, np.array([LUMINANCE], np.float32)), np.float32)
        mean, spread = cv2.meanStdDev(grey)
        height, width = grey.shape
        n_steps = (height - 1) * width + height * (width - 1)
        steps = cv2.norm(grey[1:], grey[:-1], cv2.NORM_L1) if height > 1 else 0.0
        steps += cv2.norm(grey[:, 1:], grey[:, :-1], cv2.NORM_L1) if width > 1 else 0.0
        return cls(
            mean=float(mean[0, 0]), spread=float(spread[0, 0]), gradient=steps / max(1, n_steps)
        )
