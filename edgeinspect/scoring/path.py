"""The whole of scoring in one call: un-normalised error maps in, scores and map out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edgeinspect.config import ScoringConfig
from edgeinspect.constants import RuleConstants
from edgeinspect.scoring.maps import box_blur, normalise_maps, pick_map
from edgeinspect.scoring.rules import decide
from edgeinspect.scoring.statistics import map_statistics

__all__ = ["RuleInputs", "ScoreOutputs", "score_maps"]


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


def score_maps(
    errors: Tensor, tile: Tensor, constants: RuleInputs, config: ScoringConfig
) -> ScoreOutputs:
    """Eq. 8 and 9, and the other rules: all that comes after the error maps.

    Args:
        errors: (B, K, I, H, W), un-normalised.
        tile: (B,), int32, each image's tile position.
        config: what is fixed at export.
    """
    normalised = normalise_maps(errors, tile, constants.map_mean, constants.map_inv_std)
    maps = box_blur(normalised, config.blur_px)
    statistics = map_statistics(maps, config.statistics)
    decision = decide(
        statistics,
        n_measures=len(config.measures),
        n_placed=config.n_placed,
        n_scales=maps.shape[2],
        mean_index=config.mean_index,
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
