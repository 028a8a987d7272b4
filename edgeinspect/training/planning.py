"""Before the first step: which pictures, cut how, for how many steps."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeinspect.config import PreprocessConfig, ResizeRule, RunConfig
from edgeinspect.data.images import file_sha256, guess_white_level, read_picture
from edgeinspect.data.layout import find_good
from edgeinspect.data.splits import split_neighbours
from edgeinspect.data.tiling import choose_resize, plan_tiles
from edgeinspect.errors import ConfigError, DataError, ImageError
from edgeinspect.training.run_folder import Plan

__all__ = ["Duration", "GoodPictures", "make_plan", "survey_good"]

_log = logging.getLogger(__name__)

FEWEST_PICTURES = 4


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
        if given[0] <= 0:
            raise ConfigError(f"training length is {given[0]}: it must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodPictures:
    """What a folder of good pictures holds, after every file has been read once."""

    folder: Path
    paths: tuple[Path, ...]
    shapes: tuple[tuple[int, int], ...]
    skipped: tuple[str, ...]
    white_level_16bit: int
    mean: float
    spread: float


def survey_good(paths: list[Path], folder: Path) -> GoodPictures:
    """Read every picture once; broken ones are named, counted and left out.

    Raises: DataError if fewer than 4 can be read.
    """
    white = guess_white_level(paths)
    kept, shapes, skipped, means, squares = [], [], [], [], []
    for path in paths:
        try:
            picture = read_picture(path, white_level_16bit=white)
        except ImageError as error:
            _log.warning("skipped: %s", error.what)
            skipped.append(path.name)
            continue
        kept.append(path)
        shapes.append((picture.shape[0], picture.shape[1]))
        means.append(float(picture.mean()) / 255)
        squares.append(float(np.square(picture, dtype=np.float32).mean()) / 255**2)
    if len(kept) < FEWEST_PICTURES:
        raise DataError(
            f"{folder} has {len(kept)} readable good pictures ({len(skipped)} are broken)",
            hint=f"at least {FEWEST_PICTURES} are needed, a hundred or more are better",
        )
    mean = float(np.mean(means))
    return GoodPictures(
        folder=folder,
        paths=tuple(kept),
        shapes=tuple(shapes),
        skipped=tuple(skipped),
        white_level_16bit=white,
        mean=mean,
        spread=float(np.sqrt(max(0.0, np.mean(squares) - mean**2))),
    )


def make_plan(
    data: Path, config: RunConfig, *, resize: ResizeRule | None, only: list[Path] | None = None
) -> Plan:
    """Choose preprocessing and split; `n_steps` is 0 until the length is known.

    Args:
        data: a folder of good pictures, or an MVTec root with train/good.
        resize: None lets the pictures' shapes decide.
        only: use these of the folder's pictures (what `fit` leaves for training).
    Raises: DataError, ImageError, ConfigError.
    """
    paths = find_good(data) if only is None else only
    pictures = survey_good(paths, paths[0].parent)
    preprocess = _preprocessing(config.preprocess, pictures, resize)
    for path, shape in zip(pictures.paths, pictures.shapes, strict=True):
        try:
            plan_tiles(shape, preprocess)
        except ImageError as error:
            raise ImageError(f"{path}: {error.what}", hint=error.hint) from error
    training, holdout = split_neighbours(pictures.paths, config.optimiser.holdout)
    return Plan(
        config=replace(config, preprocess=preprocess),
        n_steps=0,
        folder=str(pictures.folder.resolve()),
        training={file_sha256(p): p.name for p in training},
        holdout={file_sha256(p): p.name for p in holdout},
        skipped=pictures.skipped,
        mean=pictures.mean,
        spread=pictures.spread,
    )


def _preprocessing(
    preprocess: PreprocessConfig, pictures: GoodPictures, resize: ResizeRule | None
) -> PreprocessConfig:
    if resize is None:
        is_scaled = preprocess.scale is not None
        resize = ResizeRule.TILE if is_scaled else choose_resize(pictures.shapes)
    return replace(preprocess, resize=resize, white_level_16bit=pictures.white_level_16bit)
