"""What is exported, as one module: image and rule constants in; scores, map and error maps out.

image (uint8) -> [0, 1] -> equalised -> generator -> joined -> error maps (of pixels, then of
features) -> scored. It is exported once and cut into the bundle's two graphs (`export.bundling`):
the scoring graph, and the one that ends with un-normalised error maps, which calibration needs
before there are constants.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeinspect.config import RunConfig
from edgeinspect.export.joined import JoinedSmoothing, JoinedTokens
from edgeinspect.model.equalise import equalise
from edgeinspect.model.generator import Decoded, Generator, join_patches
from edgeinspect.scoring import RuleInputs, ScoreOutputs, error_maps, score_maps

__all__ = ["MAPS_OUTPUTS", "SCORE_OUTPUTS", "InspectionGraph"]

SCORE_OUTPUTS = ScoreOutputs._fields
MAPS_OUTPUTS = ("error_maps", "reconstructions")


class InspectionGraph(nn.Module):
    """A trained generator with all that comes before and after it."""

    def __init__(self, generator: Generator, config: RunConfig) -> None:
        super().__init__()
        self.generator = generator
        self.equalisation = config.preprocess.equalise
        self.scoring = config.scoring
        self.joined = JoinedTokens(generator)
        if config.generator.target.has_pixels:
            self.smoothing = JoinedSmoothing(generator)

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
        recons, errors = self.compare(images)
        scores = score_maps(errors, tile, constants, self.scoring)
        return (*scores, errors, torch.clamp(recons, 0, 1).permute(0, 1, 3, 4, 2))

    def compare(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) -> what to look at (B, I, 3, H, W), error maps (B, K, I, H, W)."""
        generator, target = self.generator, self.generator.config.target
        decoded = generator.decode(images)
        parts = []
        if target.has_pixels:
            joined = self.pixels(images, decoded)
            recons, grey = joined[:, :, :3], joined[:, :, 3]
            of_pixels = [m for m in self.scoring.measures if not m.is_of_features]
            parts.append(error_maps(images, recons, of_pixels, grey=grey))
        else:
            recons = generator.fill_of(images)
        if target.has_features:
            features = self.joined(generator.feature_head(decoded.tokens))
            parts.append(generator.targets.error_maps(images, features))
        return recons, torch.cat(parts, dim=1)

    def pixels(self, images: Tensor, decoded: Decoded) -> Tensor:
        """O_i of all scales, with their luminance as a fourth colour: (B, I, 4, H, W)."""
        generator = self.generator
        pixels = self.joined(generator.head(decoded.tokens))  # (B, I, N, 3 * patch * patch)
        patch, n_scales = generator.config.patch, pixels.shape[1]
        removed = join_patches(pixels.flatten(0, 1), generator.config.size // patch, patch)
        removed = removed.unflatten(0, (-1, n_scales))
        if decoded.fill is not None:
            removed = removed + decoded.fill
        smoothed: Tensor = self.smoothing(images, removed, generator.smooth)
        return smoothed
