"""What held-out good images say: the error of the generator beside that of the smooth fill.

A generator that does not beat the fill has not been trained enough; `train` says so at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeinspect.data.images import save_picture
from edgeinspect.data.loading import load_many
from edgeinspect.model.equalise import equalise
from edgeinspect.model.fill import SmoothFill
from edgeinspect.model.generator import Generator
from edgeinspect.training.pictures import as_tensor
from edgeinspect.training.run_folder import RunFolder

__all__ = ["Look", "Validation", "reconstruction_sheet"]

MAX_IMAGES = 32
MAX_ROWS = 4
BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Mean absolute error (grey levels, 0 to 1) by scale, on held-out good images."""

    errors: list[float]
    fill_errors: list[float]

    @property
    def error(self) -> float:
        return float(np.mean(self.errors))

    @property
    def fill_error(self) -> float:
        return float(np.mean(self.fill_errors))


class Validation:
    """Up to 32 images spread over the held-out pictures; none held out: over those of training."""

    def __init__(self, run: RunFolder, device: torch.device) -> None:
        self.run = run
        config = run.config
        paths = run.holdout_paths() or run.training_paths()
        chosen = [paths[place] for place in _spread(len(paths))]
        tiles = load_many(chosen, config.preprocess).tiles
        images = as_tensor(tiles[_spread(len(tiles))])
        self.images = equalise(images, config.preprocess.equalise).to(device)
        generator = config.generator
        fill = SmoothFill(
            size=generator.size, patch=generator.patch, mask_scales=generator.mask_scales
        ).to(device)
        with torch.no_grad():
            self.fill_errors = self._errors(fill)

    def __call__(self, generator: Generator, step: int) -> Look:
        """Measure, and leave a picture of reconstructions in the run."""
        was_training = generator.training
        generator.eval()
        with torch.no_grad():
            look = Look(errors=self._errors(generator.reconstruct), fill_errors=self.fill_errors)
            recons = generator.reconstruct(self.images[:MAX_ROWS])
        generator.train(was_training)
        sheet = reconstruction_sheet(self.images[:MAX_ROWS], recons)
        save_picture(self.run.path / "pictures" / f"step-{step:06d}.png", sheet)
        return look

    def _errors(self, reconstruct: Callable[[Tensor], Tensor]) -> list[float]:
        """L1 of each scale by what gives O_i (B, I, 3, H, W) of images (B, 3, H, W)."""
        sums: Tensor = torch.zeros(())
        for images in self.images.split(BATCH):
            difference = (reconstruct(images).float() - images.unsqueeze(1)).abs()
            sums = sums + difference.mean(dim=(2, 3, 4)).sum(dim=0).cpu()
        return [float(value) for value in sums / len(self.images)]


def _spread(n: int) -> NDArray[np.intp]:
    """At most 32 places of 0 to n - 1, evenly from the first to the last."""
    return np.linspace(0, n - 1, min(n, MAX_IMAGES)).round().astype(np.intp)


def reconstruction_sheet(images: Tensor, recons: Tensor) -> NDArray[np.uint8]:
    """A row an image: the image, then each scale's reconstruction and its error, times 4.

    Args:
        images: (B, 3, H, W). recons: (B, I, 3, H, W); values in [0, 1].
    Returns: (B * H, (1 + 2 I) * W, 3) uint8.
    """
    errors = (recons - images.unsqueeze(1)).abs() * 4
    pairs = torch.stack([recons, errors], dim=2).flatten(1, 2)
    cells = torch.cat([images.unsqueeze(1), pairs], dim=1).clamp(0, 1)
    rows = cells.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    sheet: NDArray[np.uint8] = (rows * 255).round().byte().cpu().numpy()
    return sheet
