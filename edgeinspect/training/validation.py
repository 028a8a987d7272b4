"""Validation on held-out good images: the error of the generator beside that of none.

A generator that does not beat the smooth fill, or for features their mean, has not been trained
enough; `train` says so at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeinspect.data.images import save_picture
from edgeinspect.data.loading import SpreadTiles
from edgeinspect.model.equalise import equalise
from edgeinspect.model.fill import SmoothFill
from edgeinspect.model.generator import Generator
from edgeinspect.training.pictures import as_tensor
from edgeinspect.training.run_folder import RunFolder

__all__ = ["Validation", "ValidationErrors"]

MAX_IMAGES = 32
MAX_ROWS = 4
BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationErrors:
    """Errors by scale, on held-out good images, and what they are without a generator.

    Target pixels: mean absolute error (grey levels, 0 to 1), beside that of the smooth fill.
    With features: mean squared distance of whitened features, beside that of their mean.
    """

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
        tiles = np.stack(list(SpreadTiles(paths, MAX_IMAGES, config.preprocess)))
        self.images = equalise(as_tensor(tiles), config.preprocess.equalise).to(device)

    def __call__(self, generator: Generator, step: int) -> ValidationErrors:
        """Measure, and leave a picture of reconstructions in the run, if there are any."""
        was_training = generator.training
        generator.eval()
        with torch.no_grad():
            pairs = [_errors(generator, images) for images in self.images.split(BATCH)]
            if generator.config.target.has_pixels:
                first = self.images[:MAX_ROWS]
                sheet = _reconstruction_sheet(first, generator.reconstruct(first))
                save_picture(self.run.path / "pictures" / f"step-{step:06d}.png", sheet)
        generator.train(was_training)
        errors, without = (torch.cat(parts).mean(dim=0) for parts in zip(*pairs, strict=True))
        return ValidationErrors(errors=errors.tolist(), fill_errors=without.tolist())


def _errors(generator: Generator, images: Tensor) -> tuple[Tensor, Tensor]:
    """Of images (B, 3, H, W): errors (B, I), and what they are without the generator."""
    if generator.config.target.has_features:
        targets = generator.targets(images).unsqueeze(1)
        recons = generator(images).features
        assert recons is not None
        return _squares(recons.float() - targets), _squares(targets).expand(-1, recons.shape[1])
    recons = generator.reconstruct(images)
    fill = generator.fill or SmoothFill.of(generator.config).to(images.device)
    return _distance(recons, images), _distance(fill(images), images)


def _squares(differences: Tensor) -> Tensor:
    return differences.square().mean(dim=(2, 3)).cpu()


def _distance(recons: Tensor, images: Tensor) -> Tensor:
    """Mean absolute difference of (B, I, 3, H, W) and (B, 3, H, W): (B, I)."""
    return (recons.float() - images.unsqueeze(1)).abs().mean(dim=(2, 3, 4)).cpu()


def _reconstruction_sheet(images: Tensor, recons: Tensor) -> NDArray[np.uint8]:
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
