"""The good pictures behind the baselines, read once.

Before the test pictures: what nearest neighbour, PCA and smooth fill compare with, and the mean
and spread that every picture is equalised to.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeinspect.config import PreprocessConfig, RunConfig
from edgeinspect.data.layout import GOOD, find_good
from edgeinspect.data.loading import load_tiles
from edgeinspect.data.splits import spread_places
from edgeinspect.errors import ImageError
from edgeinspect.evaluation.baselines import Equaliser, PictureFeatures, SmoothFill
from edgeinspect.evaluation.results import EvaluationWarning, WarningKind
from edgeinspect.progress import OnProgress

__all__ = ["Reference"]

_log = logging.getLogger(__name__)

MAX_REFERENCE = 1000  # good pictures behind the baselines; more cost time and change nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """Good pictures behind the baselines, as they are and equalised to their own average."""

    fill: SmoothFill
    features: list[PictureFeatures]
    equalised: list[PictureFeatures]
    equaliser: Equaliser | None
    paths: tuple[Path, ...]
    warnings: tuple[EvaluationWarning, ...]

    @classmethod
    def read(
        cls,
        config: RunConfig,
        data: Path,
        good: Path | None,
        *,
        equalise: bool,
        on_progress: OnProgress,
    ) -> Reference:
        """Read --good, or DATA/train/good; without it the reference is empty, with a warning."""
        fill = SmoothFill.like(config.generator)
        found = _good_paths(data, good)
        paths = [found[place] for place in spread_places(len(found), MAX_REFERENCE)]
        features, kept = _read_features(paths, config.preprocess, fill, None, on_progress)
        equaliser = Equaliser.to(features) if features and equalise else None
        equalised: list[PictureFeatures] = []
        if equaliser is not None:
            equalised, _ = _read_features(kept, config.preprocess, fill, equaliser, on_progress)
        return cls(
            fill=fill,
            features=features,
            equalised=equalised,
            equaliser=equaliser,
            paths=tuple(kept),
            warnings=() if features else (_nothing_to_compare(data),),
        )


def _good_paths(data: Path, good: Path | None) -> list[Path]:
    """Good pictures to compare with; a folder given by hand must hold some."""
    if good is not None:
        return find_good(good)
    folder = data / "train" / GOOD
    return find_good(folder) if folder.is_dir() else []


def _nothing_to_compare(data: Path) -> EvaluationWarning:
    text = (
        f"there is no train/good in {data.resolve().name}, so there are no figures of nearest"
        " neighbour, PCA and smooth fill, and none after equal mean and spread: give"
        " good pictures with --good"
    )
    return EvaluationWarning(kind=WarningKind.NO_GOOD_PICTURES, text=text)


def _read_features(
    paths: Sequence[Path],
    preprocess: PreprocessConfig,
    fill: SmoothFill,
    equaliser: Equaliser | None,
    on_progress: OnProgress,
) -> tuple[list[PictureFeatures], list[Path]]:
    """Features of the readable pictures, and which those are."""
    features, kept = [], []
    what = "good pictures" if equaliser is None else "good pictures, equalised"
    for done, path in enumerate(paths):
        on_progress(what, done, len(paths))
        try:
            loaded = load_tiles(path, preprocess)
        except ImageError as error:
            if equaliser is None:
                _log.warning("left out of the baselines: %s", error.what)
            continue
        picture = loaded.picture if equaliser is None else equaliser(loaded.picture)
        features.append(PictureFeatures.of(picture, loaded.grid, fill))
        kept.append(path)
    on_progress(what, len(paths), len(paths))
    return features, kept
