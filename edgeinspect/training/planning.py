"""Before the first step: which pictures, cut how, for how many steps."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeinspect.config import PRESETS, PreprocessConfig, ResizeRule, RunConfig
from edgeinspect.data.copies import distinct_pictures
from edgeinspect.data.layout import find_good
from edgeinspect.data.loading import Survey, plan_file, survey_pictures
from edgeinspect.data.splits import split_neighbours
from edgeinspect.data.tiling import choose_resize
from edgeinspect.errors import ConfigError, DataError
from edgeinspect.training.run_folder import Plan

__all__ = ["Duration", "make_plan"]

_log = logging.getLogger(__name__)

FEWEST_PICTURES = 4
MUCH_REDUCED = 4.0  # times: from here on it is worth saying what is lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """How long to train: exactly one of the three."""

    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        given = [v for v in (self.steps, self.epochs, self.minutes) if v is not None]
        if len(given) != 1:
            raise ConfigError("training length: give one of --steps, --epochs and --minutes")
        if not 0 < given[0] < math.inf:
            raise ConfigError(f"training length is {given[0]}: it must be above 0, and end")


def make_plan(
    data: Path,
    config: RunConfig,
    *,
    resize: ResizeRule | None,
    only: list[Path] | None = None,
    holdout: list[Path] | None = None,
) -> Plan:
    """Choose preprocessing and split; `n_steps` is 0 until the length is known.

    Args:
        data: a folder of good pictures, or an MVTec root with train/good.
        resize: None lets the pictures' shapes decide.
        only: use these of the folder's pictures; None for all.
        holdout: those of them that choose the checkpoint and never train (`fit` has chosen);
            None takes the share that `config.optimiser.holdout` names.
    Raises: DataError, ImageError, ConfigError.
    """
    paths = find_good(data) if only is None else only
    folder, survey = paths[0].parent, _survey(paths, config.preprocess.white_level_16bit)
    distinct = distinct_pictures(survey.paths)
    if len(distinct) < FEWEST_PICTURES:
        raise DataError(
            f"{folder} has {len(distinct)} readable good pictures"
            f" ({len(survey.skipped)} are broken)",
            hint=f"at least {FEWEST_PICTURES} are needed, a hundred or more are better",
        )
    preprocess = _preprocessing(config.preprocess, survey, resize)
    for path, shape in zip(survey.paths, survey.shapes, strict=True):
        plan_file(path, shape, preprocess)  # raises here, not in the middle of training
    _say_what_is_lost(survey, preprocess)
    readable = set(survey.paths)
    training, held_out = _divide(list(distinct), config.optimiser.holdout, holdout)
    _check_held_out(held_out, config)
    return Plan(
        config=replace(config, preprocess=preprocess),
        n_steps=0,
        folder=str(folder.resolve()),
        training={distinct[p]: p.name for p in training},
        holdout={distinct[p]: p.name for p in held_out},
        skipped=tuple(path.name for path in paths if path not in readable),
        mean=survey.mean,
        spread=survey.spread,
    )


def _survey(paths: Sequence[Path], white_level_16bit: int) -> Survey:
    """By the white level that was set, else by what the pictures hold, which is then said."""
    full_range = PreprocessConfig().white_level_16bit
    if white_level_16bit != full_range:
        return survey_pictures(paths, white_level_16bit=white_level_16bit)
    survey = survey_pictures(paths)
    if survey.white_level_16bit != full_range:
        _log.info("16-bit pictures: white is taken as %d", survey.white_level_16bit)
    return survey


def _divide(
    paths: Sequence[Path], share: float, holdout: list[Path] | None
) -> tuple[list[Path], list[Path]]:
    """(training, held out), both in the order of `paths`."""
    if holdout is None:
        return split_neighbours(paths, share)
    chosen = set(holdout)
    return [p for p in paths if p not in chosen], [p for p in paths if p in chosen]


def _check_held_out(held_out: Sequence[Path], config: RunConfig) -> None:
    generator = config.generator
    if generator.target.has_features and generator.feature_memory and not held_out:
        raise ConfigError(
            "with holdout=0 no good picture says how far those lie that the memory does not hold",
            hint="leave --set holdout at its default, or give --set feature_memory=0 as well",
        )


def _preprocessing(
    preprocess: PreprocessConfig, survey: Survey, resize: ResizeRule | None
) -> PreprocessConfig:
    if resize is None:
        is_scaled = preprocess.scale is not None
        resize = ResizeRule.TILE if is_scaled else choose_resize(survey.shapes)
    return replace(preprocess, resize=resize, white_level_16bit=survey.white_level_16bit)


def _say_what_is_lost(survey: Survey, preprocess: PreprocessConfig) -> None:
    """Of large pictures, unless a scale was chosen: how small they become, and what shows more."""
    height, width = max(survey.shapes, key=min)
    factor = min(height, width) / preprocess.size
    if preprocess.scale is None and factor >= MUCH_REDUCED:
        is_small = preprocess.size < PRESETS["fine"].preprocess.size
        _log.warning(
            "pictures of %d x %d px are reduced %.3g times, and marks of few px are lost;"
            " %s--set scale=%.2g cuts them into tiles that show twice as much, in four to nine"
            " times the time",
            width, height, factor, "use --preset fine; or " if is_small else "", 2 / factor,
        )  # fmt: skip
