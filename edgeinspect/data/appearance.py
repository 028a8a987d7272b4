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

from edgeinspect.data.luminance import luminance_of

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
        """Of a picture (H, W, 3)."""
        grey = luminance_of(picture)
        steps = [np.abs(np.diff(grey, axis=axis)) for axis in (0, 1)]
        n_steps = sum(step.size for step in steps)
        return cls(
            mean=float(grey.mean()),
            spread=float(grey.std()),
            gradient=float(sum(step.sum(dtype=np.float64) for step in steps) / max(1, n_steps)),
        )
