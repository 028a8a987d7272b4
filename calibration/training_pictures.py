"""Which of the good pictures given may calibrate: each once, and those that did not train.

Before the first step of calibration. A model reconstructs the pictures it was trained on better
than new ones, so constants and thresholds made from them reject good parts. Training records the
sha256 of its pictures (`provenance["training_pictures"]`, {sha256: name}); content is compared,
so a renamed copy is recognised.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from edgeinspect.data.copies import distinct_pictures
from edgeinspect.errors import CalibrationError

__all__ = ["count_trained", "untrained_pictures"]

_log = logging.getLogger(__name__)


def untrained_pictures(
    good: Iterable[Path], provenance: Mapping[str, Any], *, allow: bool = False, skip: bool = False
) -> dict[Path, str]:
    """The pictures to calibrate with and their sha256, in the order given; copies count once.

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
    pictures = distinct_pictures(good)
    trained = provenance.get("training_pictures") or {}
    if allow or not trained:
        return pictures
    kept = {path: digest for path, digest in pictures.items() if digest not in trained}
    n_trained = len(pictures) - len(kept)
    if n_trained and not (skip and kept):
        raise _refusal(pictures, kept, len(provenance.get("holdout_pictures") or ()))
    if n_trained:
        _log.info("%d training pictures left out, %d remain", n_trained, len(kept))
    return kept


def count_trained(digests: Iterable[str], provenance: Mapping[str, Any]) -> int:
    """How many of the pictures with these sha256 trained the model."""
    trained = provenance.get("training_pictures") or {}
    return sum(digest in trained for digest in digests)


def _refusal(good: Collection[Path], kept: Collection[Path], n_holdout: int) -> CalibrationError:
    first = next(path for path in good if path not in kept)
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
