"""What is exported: uint8 image and rule constants in, scores and map out, in one module.

image -> [0, 1] -> equalised -> generator -> fused -> scored. `MapsGraph` is the same up to the
error maps, which calibration needs before there are constants.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeinspect.config import RunConfig
from edgeinspect.model.equalise import equalise
from edgeinspect.model.fusion import fuse_reconstructions
from edgeinspect.model.generator import Generator
from edgeinspect.model.masks import block_masks
from edgeinspect.scoring import RuleInputs, ScoringPath, error_maps

__all__ = ["MAPS_OUTPUTS", "InspectionGraph", "MapsGraph"]

MAPS_OUTPUTS = ("error_maps", "reconstructions")


class _Reconstruction(nn.Module):
    """Images as decoded to images in [0, 1] and their fused reconstructions."""

    masks: Tensor

    def __init__(self, generator: Generator, config: RunConfig) -> None:
        super().__init__()
        self.generator = generator
        self.equalisation = config.preprocess.equalise
        self.register_buffer("masks", block_masks(config.generator), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 to (B, 3, H, W) and (B, I, 3, H, W), float32."""
        images = equalise((image.float() / 255).permute(0, 3, 1, 2), self.equalisation)
        return images, fuse_reconstructions(self.generator(images), self.masks)


class InspectionGraph(nn.Module):
    """The bundle's `graph_fp32.onnx`. Outputs as `scoring.ScoreOutputs`."""

    def __init__(self, generator: Generator, config: RunConfig) -> None:
        super().__init__()
        self.reconstruction = _Reconstruction(generator, config)
        self.scoring = ScoringPath(
            measures=config.scoring.measures,
            statistics=config.scoring.statistics,
            blur_px=config.scoring.blur_px,
        )

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
        """Image (B, H, W, 3) uint8, tile (B,) int32, and `RuleInputs` one by one."""
        constants = RuleInputs(
            map_mean, map_inv_std, stat_mean, stat_inv_std, stat_weight, precision, rule
        )
        images, recons = self.reconstruction(image)
        return tuple(self.scoring(images, recons, tile, constants))


class MapsGraph(nn.Module):
    """The bundle's `maps_fp32.onnx`: un-normalised error maps, and the reconstructions to see."""

    def __init__(self, generator: Generator, config: RunConfig) -> None:
        super().__init__()
        self.reconstruction = _Reconstruction(generator, config)
        self.measures = config.scoring.measures

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 to (B, K, I, H, W), and (B, I, H, W, 3) cut to [0, 1]."""
        images, recons = self.reconstruction(image)
        shown = torch.clamp(recons, 0, 1).permute(0, 1, 3, 4, 2)
        return error_maps(images, recons, self.measures), shown
