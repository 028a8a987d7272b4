"""Brings each image to one mean and spread, so that exposure is not taken for a defect."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from edgeinspect.config import Equalisation
from edgeinspect.data.equalise import LEAST_SPREAD, MEAN, SPREAD

__all__ = ["equalise"]

CELL = 16  # px; a mean is taken of cells up to this large first


def equalise(images: Tensor, how: Equalisation) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> the same, as it was or with mean 0.5 and spread 0.17."""
    if how is Equalisation.NONE:
        return images
    centred = images - _mean(images)
    spread = _mean(centred * centred).sqrt()
    return (centred * (SPREAD / spread.clamp(min=LEAST_SPREAD)) + MEAN).clamp(0, 1)


def _mean(images: Tensor) -> Tensor:
    """Of each image: (B, 1, 1, 1). Of cells first: ONNX Runtime adds up all values of an image one
    after the other, and loses digits that the small spread of a dark image magnifies.
    """
    return F.avg_pool2d(images, math.gcd(images.shape[-1], CELL)).mean(dim=(1, 2, 3), keepdim=True)
