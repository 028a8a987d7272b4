"""Brings each image to one mean and spread, so that exposure is not taken for a defect."""

from __future__ import annotations

from torch import Tensor

from edgeinspect.config import Equalisation
from edgeinspect.data.equalise import LEAST_SPREAD, MEAN, SPREAD

__all__ = ["equalise"]


def equalise(images: Tensor, how: Equalisation) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> the same, as it was or with mean 0.5 and spread 0.17."""
    if how is Equalisation.NONE:
        return images
    centred = images - images.mean(dim=(1, 2, 3), keepdim=True)
    spread = (centred * centred).mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return (centred * (SPREAD / spread.clamp(min=LEAST_SPREAD)) + MEAN).clamp(0, 1)
