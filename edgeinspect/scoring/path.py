"""The whole of scoring as one module: images and reconstructions in, scores and map out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgeinspect.config import Measure, Statistic
from edgeinspect.constants import RuleConstants
from edgeinspect.scoring.maps import box_blur, normalise_maps, pick_map
from edgeinspect.scoring.measures import error_maps
from edgeinspect.scoring.rules import decide
from edgeinspect.scoring.statistics import map_statistics

__all__ = ["RuleInputs", "ScoreOutputs", "ScoringPath"]


class RuleInputs(NamedTuple):
    """`constants.RuleConstants` as tensors, in the order of the graph's inputs."""

    map_mean: Tensor
    map_inv_std: Tensor
    stat_mean: Tensor
    stat_inv_std: Tensor
    stat_weight: Tensor
    precision: Tensor
    rule: Tensor

    @classmethod
    def from_constants(cls, constants: RuleConstants) -> RuleInputs:
        arrays = constants.as_inputs()
        return cls(*(torch.from_numpy(arrays[name]) for name in cls._fields))


class ScoreOutputs(NamedTuple):
    """What the graph answers about B images, in the order of its outputs.

    Attributes:
        score, local_score, global_score: (B,); `score` is the one that the verdict uses.
        scale: (B,), int32.
        anomaly_map: (B, H, W), in spreads of good parts.
        statistics: (B, S), of the normalised maps.
    """

    score: Tensor
    local_score: Tensor
    global_score: Tensor
    scale: Tensor
    anomaly_map: Tensor
    statistics: Tensor


class ScoringPath(nn.Module):
    """Eq. 6 to 9 after fusion. Holds what is fixed at export; it has no weights."""

    def __init__(
        self, *, measures: Sequence[Measure], statistics: Sequence[Statistic], blur_px: int = 1
    ) -> None:
        super().__init__()
        self.measures = tuple(measures)
        self.statistics = tuple(statistics)
        self.blur_px = blur_px

    def forward(
        self, images: Tensor, recons: Tensor, tile: Tensor, constants: RuleInputs
    ) -> ScoreOutputs:
        """Score images (B, 3, H, W) against recons (B, I, 3, H, W), both float32 in [0, 1].

        `tile` (B,), int32, is each image's tile position.
        """
        errors = error_maps(images, recons, self.measures)
        return self.score_maps(errors, tile, constants)

    def score_maps(self, errors: Tensor, tile: Tensor, constants: RuleInputs) -> ScoreOutputs:
        """The part that needs no reconstruction: error maps (B, K, I, H, W) to scores."""
        normalised = normalise_maps(errors, tile, constants.map_mean, constants.map_inv_std)
        maps = box_blur(normalised, self.blur_px)
        statistics = map_statistics(maps, self.statistics)
        decision = decide(
            statistics,
            n_measures=len(self.measures),
            n_placed=sum(measure.has_places for measure in self.measures),
            n_scales=maps.shape[2],
            mean_index=self.statistics.index(Statistic.MEAN),
            stat_mean=constants.stat_mean,
            stat_inv_std=constants.stat_inv_std,
            stat_weight=constants.stat_weight,
            precision=constants.precision,
            rule=constants.rule,
        )
        return ScoreOutputs(
            score=decision.score,
            local_score=decision.local_score,
            global_score=decision.global_score,
            scale=decision.scale,
            anomaly_map=pick_map(maps, decision.picked),
            statistics=statistics,
        )
