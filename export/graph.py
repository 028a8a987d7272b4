"""What is exported, as one module: image and rule constants in; scores, map and error maps out.

image (uint8) -> [0, 1] -> equalised -> generator -> fused -> error maps (of pixels, then of
features) -> scored. It is exported
once and cut into the bundle's two graphs (`export.bundling`): the scoring graph, and the one that
ends with un-normalised error maps, which calibration needs before there are constants.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeinspect.config import RunConfig
from edgeinspect.model.equalise import equalise
from edgeinspect.model.generator import Generator
from edgeinspect.model.masks import block_masks
from edgeinspect.scoring import RuleInputs, ScoreOutputs, ScoringPath, error_maps

__all__ = ["MAPS_OUTPUTS", "SCORE_OUTPUTS", "InspectionGraph", "select_reconstructions"]

SCORE_OUTPUTS = ScoreOutputs._fields
MAPS_OUTPUTS = ("error_maps", "reconstructions")


class InspectionGraph(nn.Module):
    """A trained generator with all that comes before and after it."""

    is_removed_first: Tensor

    def __init__(self, generator: Generator, config: RunConfig) -> None:
        super().__init__()
        self.generator = generator
        self.equalisation = config.preprocess.equalise
        self.scoring = ScoringPath(
            measures=config.scoring.measures,
            statistics=config.scoring.statistics,
            blur_px=config.scoring.blur_px,
        )
        is_removed_first = block_masks(config.generator)[:, 0, None] > 0  # (I, 1, H, W)
        self.register_buffer("is_removed_first", is_removed_first, persistent=False)

    def forward(
        self,
        image: Tensor,
        tile: Tensor,
        map_mean: Tensor,
        map_inv_std: Tensor,
        stat_mean: Tensor,
        stat_inv_std: Tensor,
        stat_weight: Tensor,
        precision: Tensor,
        rule: Tensor,
    ) -> tuple[Tensor, ...]:
        """Answer as `SCORE_OUTPUTS`, then `MAPS_OUTPUTS`.

        Args:
            image: (B, H, W, 3), uint8 RGB. tile: (B,), int32. The rest as `RuleInputs`.
        Returns: the six of `ScoreOutputs`; error maps (B, K, I, H, W), un-normalised; and the
            reconstructions (B, I, H, W, 3), cut to [0, 1] to be looked at; features cannot be, so
            under target `features` it is the fill that they were reconstructed from.
        """
        constants = RuleInputs(
            map_mean, map_inv_std, stat_mean, stat_inv_std, stat_weight, precision, rule
        )
        images = equalise((image.float() / 255).permute(0, 3, 1, 2), self.equalisation)
        recons, errors = self._reconstruct(images)
        scores = self.scoring.score_maps(errors, tile, constants)
        return (*scores, errors, torch.clamp(recons, 0, 1).permute(0, 1, 3, 4, 2))

    def _reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) -> what to look at (B, I, 3, H, W), error maps (B, K, I, H, W)."""
        made = self.generator(images)
        parts = []
        if made.pixels is not None:
            recons = select_reconstructions(made.pixels, self.is_removed_first)
            of_pixels = [m for m in self.scoring.measures if not m.is_of_features]
            parts.append(error_maps(images, recons, of_pixels))
        else:
            recons = self.generator.fill_of(images)
        if made.features is not None:
            parts.append(self.generator.targets.error_maps(images, made.features))
        return recons, torch.cat(parts, dim=1)


def select_reconstructions(recons: Tensor, is_removed_first: Tensor) -> Tensor:
    """Eq. 6 as a selection: what `fuse_reconstructions` computes, with an eighth of the masks.

    Args:
        recons: (B, I, 2, 3, H, W).
        is_removed_first: (I, 1, H, W), bool, where the first complement removed the image.
    Returns: (B, I, 3, H, W).
    """
    return torch.where(is_removed_first, recons[:, :, 0], recons[:, :, 1])
