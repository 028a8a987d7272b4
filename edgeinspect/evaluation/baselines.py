"""Trivial scores that any figure must be read against, because data sets have shortcuts.

Beside the bundle, on the same pictures: if brightness alone separates a test set, a high AUROC
there says nothing. Five baselines: mean and spread of the grey values (either direction may be
the right one, so the better is reported with its sign), distance to the nearest good picture,
residual of a PCA of the good pictures, and the smooth fill, which is the generator's prior
without the generator (docs/method.md). Knows no torch.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import FADE_SHARE, GeneratorConfig
from edgeinspect.data.appearance import Appearance
from edgeinspect.data.luminance import luminance_of
from edgeinspect.data.tiling import TileGrid, cut_tiles

__all__ = [
    "Baseline",
    "Equaliser",
    "PictureFeatures",
    "SmoothFill",
    "score_baselines",
]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

NEAREST_SIDE_PX = 32
PCA_SIDE_PX = 64
PCA_COMPONENTS = 64
FILL_BLUR_PX = 3


class Baseline(str, enum.Enum):
    """A score without training; the value is its key in metrics.json."""

    MEAN = "mean_intensity"
    CONTRAST = "contrast"
    NEAREST = "nearest_neighbour"
    PCA = "pca_residual"
    FILL = "smooth_fill"

    @property
    def is_two_sided(self) -> bool:
        """Whether low values may mean a defect as well as high ones."""
        return self in (Baseline.MEAN, Baseline.CONTRAST)

    @property
    def words(self) -> str:
        """Its name for people."""
        return self.value.replace("_", " ").replace("pca", "PCA")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureFeatures:
    """All that the baselines keep of one picture: about 20 kB.

    `small` (32 * 32,) and `medium` (64 * 64,) are the reduced picture in [0, 1]; `fill_errors`
    (I,) the smooth fill's largest error at each scale.
    """

    appearance: Appearance
    small: Floats
    medium: Floats
    fill_errors: Floats

    @classmethod
    def of(cls, picture: NDArray[np.uint8], grid: TileGrid, fill: SmoothFill) -> PictureFeatures:
        """Features of a picture (H, W, 3); only the fill looks at it tile by tile."""
        grey = luminance_of(picture)
        tiles = cut_tiles(picture, grid)  # one at a time: a large picture has thousands
        errors = [fill.errors(luminance_of(tile)[None] / np.float32(255))[0] for tile in tiles]
        return cls(
            appearance=Appearance.of(picture),
            small=_reduced(grey, NEAREST_SIDE_PX),
            medium=_reduced(grey, PCA_SIDE_PX),
            fill_errors=np.max(errors, axis=0),
        )


def _reduced(grey: Floats, side_px: int) -> Floats:
    small = cv2.resize(grey, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return np.asarray(small / 255, dtype=np.float32).reshape(-1)


class SmoothFill:
    """Fills every masked block from the visible pixels around it, and measures the error.

    Normalised smoothing: visible pixels weighted by exp(-distance / fade) along each axis, the
    sum divided by the sum of the weights. Both complements of a scale make one fill, in which
    no pixel has seen its own block (eq. 6 without a network).
    """

    def __init__(self, *, size: int, patch: int, mask_scales: tuple[int, ...]) -> None:
        self.size = size
        self._scales = [_FillScale.of(size, patch * scale) for scale in mask_scales]

    @classmethod
    def like(cls, generator: GeneratorConfig) -> SmoothFill:
        """The fill of a generator's masks."""
        return cls(size=generator.size, patch=generator.patch, mask_scales=generator.mask_scales)

    def fill(self, images: Floats) -> Floats:
        """Grey images (n, H, W) in [0, 1] -> the fill at each scale (n, I, H, W)."""
        return np.stack([scale.fill(images) for scale in self._scales], axis=1)

    def errors(self, images: Floats) -> Floats:
        """(n, I): the largest |fill - image| of each image and scale, after a 3 px blur."""
        gaps = np.abs(self.fill(images) - images[:, None])
        window = (FILL_BLUR_PX, FILL_BLUR_PX)
        return np.array(
            [[cv2.blur(gap, window).max() for gap in of_image] for of_image in gaps],
            dtype=np.float32,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _FillScale:
    """Constants of one scale, (H, W) each; `first` is 1 where complement 1 removes pixels."""

    first: Floats
    smooth: Floats
    inverse_weight: tuple[Floats, Floats]

    @classmethod
    def of(cls, size: int, block_px: int) -> _FillScale:
        block = np.arange(size) // block_px
        first = ((block[:, None] + block[None, :]) % 2 == 0).astype(np.float32)
        distance = np.abs(np.arange(size)[:, None] - np.arange(size)[None, :])
        smooth = np.exp(-distance / (block_px * FADE_SHARE)).astype(np.float32)
        weights = [smooth @ visible @ smooth for visible in (1 - first, first)]
        tiny = np.finfo(np.float32).tiny  # far inside the other complement's blocks, unused
        inverses = [1 / np.maximum(weight, tiny) for weight in weights]
        return cls(first=first, smooth=smooth, inverse_weight=(inverses[0], inverses[1]))

    def fill(self, images: Floats) -> Floats:
        """(n, H, W) -> (n, H, W); `smooth` is symmetric, so it is its own transpose."""
        filled = np.zeros_like(images)
        for removed, inverse in zip((self.first, 1 - self.first), self.inverse_weight, strict=True):
            sums = self.smooth @ (images * (1 - removed)) @ self.smooth
            filled += removed * sums * inverse
        return filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Equaliser:
    """Brings a picture to the mean and spread of good ones, so that neither can be the clue.

    `mean` and `spread` are grey values 0 to 255: the averages over the good pictures.
    """

    mean: float
    spread: float

    @classmethod
    def to(cls, good: Sequence[PictureFeatures]) -> Equaliser:
        """Towards the average mean and the average spread of good pictures, at least one."""
        return cls(
            mean=float(np.mean([one.appearance.mean for one in good])),
            spread=float(np.mean([one.appearance.spread for one in good])),
        )

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture (H, W, 3), its channels scaled alike, rounded and clipped to 0..255.

        Clipping leaves a small difference; a picture of one colour is only shifted.
        """
        grey = luminance_of(picture)
        mean, spread = float(grey.mean()), float(grey.std())
        gain = self.spread / spread if np.ptp(grey) > 0 else 1.0  # rounding gives one colour some
        levels = (np.arange(256) - mean) * gain + self.mean
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        return np.asarray(table[picture])


def score_baselines(
    test: Sequence[PictureFeatures], good: Sequence[PictureFeatures]
) -> dict[Baseline, Doubles]:
    """Each baseline's score (n,) of the test pictures, higher meaning further from good.

    Mean and contrast are the plain values, whose direction the caller decides. Without good
    pictures those that compare with them are left out; the fill needs two, for a spread.
    """
    scores = {
        Baseline.MEAN: np.array([one.appearance.mean for one in test]),
        Baseline.CONTRAST: np.array([one.appearance.spread for one in test]),
    }
    if good:
        scores[Baseline.NEAREST] = _nearest_distance(
            np.stack([one.small for one in test]), np.stack([one.small for one in good])
        )
        scores[Baseline.PCA] = _pca_residual(
            np.stack([one.medium for one in test]), np.stack([one.medium for one in good])
        )
    if len(good) > 1:
        scores[Baseline.FILL] = _largest_z(
            np.stack([one.fill_errors for one in test]), np.stack([one.fill_errors for one in good])
        )
    return scores


def _nearest_distance(test: Floats, good: Floats) -> Doubles:
    """(n,) squared distance of each row to the nearest row of `good`."""
    reference = good.astype(np.float64)
    return np.array([((reference - row) ** 2).sum(axis=1).min() for row in test])


def _pca_residual(test: Floats, good: Floats) -> Doubles:
    """(n,) mean squared residual after projection on the good rows' main components."""
    mean = good.mean(axis=0, dtype=np.float64)
    _, sizes, axes = np.linalg.svd(good - mean, full_matrices=False)
    n_kept = min(PCA_COMPONENTS, int((sizes > sizes[0] * 1e-6).sum()) if sizes[0] > 0 else 0)
    centred, kept = test - mean, axes[:n_kept]
    return np.asarray(((centred - centred @ kept.T @ kept) ** 2).mean(axis=1))


def _largest_z(test: Floats, good: Floats) -> Doubles:
    """(n,) largest over the columns of the z-score by the good rows."""
    spread = np.maximum(good.std(axis=0, ddof=1, dtype=np.float64), 1e-6)
    return np.asarray(((test - good.mean(axis=0, dtype=np.float64)) / spread).max(axis=1))
