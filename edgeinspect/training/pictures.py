"""Good pictures as an endless, repeatable sequence of images.

Image number n is a function of (seed, n) alone: which picture, which place in it, which changes.
So a run that is resumed, or whose data are read by several workers or devices, sees the same
images in the same order without any state to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from edgeinspect.config import AugmentConfig, PreprocessConfig
from edgeinspect.data.images import read_picture
from edgeinspect.data.tiling import plan_tiles, resize_picture

__all__ = ["GoodImages", "as_tensor", "augment"]

MAX_CACHE_BYTES = 4 << 30


class GoodImages(Dataset[Tensor]):
    """Images n = 0, 1, ... of the training pictures: (3, size, size) float in [0, 1].

    Pictures are read and resized once, and kept as long as they fit in 4 GiB.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocess: PreprocessConfig,
        augmentation: AugmentConfig,
        *,
        seed: int,
        n_images: int,
    ) -> None:
        self.paths = list(paths)
        self.preprocess, self.augmentation = preprocess, augmentation
        self.seed, self.n_images = seed, n_images
        self._cache: dict[int, NDArray[np.uint8]] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return self.n_images

    def __getitem__(self, n: int) -> Tensor:
        epoch, place = divmod(n, len(self.paths))
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.paths))
        rng = np.random.default_rng((self.seed, 2, n))
        picture = self._resized(int(order[place]))
        return as_tensor(augment(picture, self.preprocess.size, self.augmentation, rng))

    def _resized(self, i: int) -> NDArray[np.uint8]:
        if i in self._cache:
            return self._cache[i]
        picture = read_picture(self.paths[i], white_level_16bit=self.preprocess.white_level_16bit)
        height, width = picture.shape[:2]
        resized = resize_picture(picture, plan_tiles((height, width), self.preprocess))
        if self._cached_bytes + resized.nbytes <= MAX_CACHE_BYTES:
            self._cache[i] = resized
            self._cached_bytes += resized.nbytes
        return resized


def augment(
    picture: NDArray[np.uint8], size: int, config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """One image of `size` from anywhere in a resized picture (H, W, 3), changed as configured.

    The border is mirrored where a rotation or shift looks beyond it.
    """
    height, width = picture.shape[:2]
    top = int(rng.integers(0, height - size + 1))
    left = int(rng.integers(0, width - size + 1))
    shift = rng.uniform(-config.shift_px, config.shift_px, 2)
    angle = float(rng.uniform(-config.rotate_deg, config.rotate_deg))
    flips = rng.random(2) < 0.5
    gain = float(rng.uniform(-config.brightness, config.brightness))
    if angle or shift.any():
        centre = (left + size / 2, top + size / 2)
        matrix = cv2.getRotationMatrix2D(centre, angle, 1.0)
        matrix[:, 2] += shift - np.array((left, top), float)
        image = cv2.warpAffine(
            picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
    else:
        image = picture[top : top + size, left : left + size]
    if config.flip_horizontal and flips[0]:
        image = image[:, ::-1]
    if config.flip_vertical and flips[1]:
        image = image[::-1]
    if gain:
        image = np.clip(np.rint(image.astype(np.float32) * (1 + gain)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image)


def as_tensor(images: NDArray[np.uint8]) -> Tensor:
    """(..., H, W, 3) uint8 -> (..., 3, H, W) float in [0, 1]."""
    return torch.from_numpy(images).movedim(-1, -3).float() / 255
