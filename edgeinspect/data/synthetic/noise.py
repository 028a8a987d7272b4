"""Random fields that surfaces and defects are made of: (H, W) float32, mean 0, spread 1.

Every field comes from the generator that is passed in, so a seed gives the same picture again.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Field", "fractal_noise", "profile_noise", "smooth_noise", "standardise"]

Field = NDArray[np.float32]


def standardise(field: Field) -> Field:
    """The field with mean 0 and standard deviation 1; a constant field becomes 0."""
    centred = field.astype(np.float64)  # a crop of coarse noise hardly varies
    centred -= centred.mean()
    standard: Field = (centred / max(float(centred.std()), 1e-6)).astype(np.float32)
    return standard


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], sigma_px: tuple[float, float]
) -> Field:
    """White noise blurred by a Gaussian of `sigma_px` (down, across); unequal ones give streaks.

    Coarse fields are drawn on a coarse grid and enlarged, which looks the same and is faster.
    """
    steps = [max(1, int(sigma // 4)) for sigma in sigma_px]
    coarse = tuple(max(4, -(-side // step) + 2) for side, step in zip(shape, steps, strict=True))
    field = rng.standard_normal(coarse, dtype=np.float32)
    down, across = (sigma / step for sigma, step in zip(sigma_px, steps, strict=True))
    if max(down, across) > 0.3:
        field = cv2.GaussianBlur(
            field, (0, 0), sigmaX=max(across, 0.05), sigmaY=max(down, 0.05)
        ).astype(np.float32)
    if steps != [1, 1]:
        size = (coarse[1] * steps[1], coarse[0] * steps[0])
        field = cv2.resize(field, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return standardise(field[: shape[0], : shape[1]])


def fractal_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    coarsest_px: float,
    n_octaves: int,
    gain: float = 0.5,
) -> Field:
    """Smooth noise at `n_octaves` halving sizes, each `gain` times as strong as the one before."""
    total = np.zeros(shape, np.float32)
    for octave in range(n_octaves):
        sigma = max(coarsest_px / 2**octave, 0.4)
        total += np.float32(gain**octave) * smooth_noise(rng, shape, (sigma, sigma))
    return standardise(total)


def profile_noise(rng: np.random.Generator, length: int, sigma_px: float) -> Field:
    """One-dimensional smooth noise, (length,)."""
    return smooth_noise(rng, (length, 8), (sigma_px, 0.0))[:, 0]
