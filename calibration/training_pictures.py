"""Which of the good pictures given may calibrate: those that did not train.

Before the first step of calibration. A model reconstructs the pictures it was trained on better
than new ones, so constants and thresholds made from them reject good parts. Training records the
sha256 of its pictures (`provenance["training_pictures"]`, {sha256: name}); content is compared,
so a renamed copy is recognised.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edgeinspect.data.images import file_sha256
from edgeinspect.errors import CalibrationError, ImageError

__all__ = ["count_trained", "untrained_pictures"]

_log = logging.getLogger(__name__)


def untrained_pictures(
    good: list[Path], provenance: Mapping[str, Any], *, allow: bool = False, skip: bool = False
) -> list[Path]:
    """The pictures to calibrate with, in the order given.

    Args:
        provenance: of the bundle's manifest.
        allow: take training pictures as well; for experiments.
        skip: leave training pictures out instead of refusing.
    Raises: CalibrationError if there are training pictures and neither was asked for, if both
        were, or if nothing is left.
    """
    if allow and skip:
        raise CalibrationError(
            "training pictures cannot be allowed and left out at once",
            hint="give one of --allow-training-pictures and --skip-training-pictures",
        )
    trained = provenance.get("training_pictures") or {}
    if allow or not trained:
        return good
    kept = [path for path in good if _sha256(path) not in trained]
    n_trained = len(good) - len(kept)
    if n_trained and not (skip and kept):
        raise _refusal(good, kept, len(provenance.get("holdout_pictures") or ()))
    if n_trained:
        _log.info("%d training pictures left out, %d remain", n_trained, len(kept))
    return kept


def count_trained(digests: Iterable[str], provenance: Mapping[str, Any]) -> int:
    """How many of the pictures with these sha256 trained the model."""
    trained = provenance.get("training_pictures") or {}
    return sum(digest in trained for digest in digests)


def _sha256(path: Path) -> str | None:
    """None for a file that cannot be read: reading the picture will name it."""
    try:
        return file_sha256(path)
    except ImageError:
        return None


def _refusal(good: list[Path], kept: list[Path], n_holdout: int) -> CalibrationError:
    others = set(kept)
    first = next(path for path in good if path not in others)
    hint = "give good pictures that were not used in training"
    if kept:
        hint += f", or add --skip-training-pictures: {len(kept)} would remain"
    elif n_holdout:
        hint += f", such as the {n_holdout} that training held out"
    return CalibrationError(
        f"{len(good) - len(kept)} of {len(good)} good pictures trained this model ({first.name}"
        " is one): it reconstructs them better than new parts, so a threshold made from them"
        " would reject good parts",
        hint=hint,
    )
