"""What is doubtful about the good pictures that calibrated, in sentences for log and card.

Last step of calibration. Figures that come of doubtful pictures look like any others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.calibration.good_maps import GoodMaps
from edgeinspect.calibration.training_pictures import count_trained
from edgeinspect.config import Measure
from edgeinspect.data.populations import find_populations

__all__ = ["find_doubts"]

# Times from the median to a quantile, from where on a score is far; good parts reached 5 and 9.9.
# The lower quantile is that of good parts even where a fifth of the pictures is of another part.
OUTLIER_REACH = {0.9: 6.0, 0.75: 12.0}
N_EXAMPLES = 3
# Measure `whole`, 1 where it is usual: of good parts up to 2.2, of other parts from 5 on; other
# light, focus and noise lie between (benchmarks/results/unlike_pictures.md).
UNLIKE = 3.0

_log = logging.getLogger(__name__)


def find_doubts(
    good: GoodMaps,
    digests: list[str],
    scores: NDArray[np.float64],
    measures: Sequence[Measure],
    provenance: Mapping[str, Any],
) -> Iterator[str]:
    """What is doubtful about the pictures; each sentence is logged as well."""
    for warning in (
        _about_trained(digests, provenance),
        _about_brightness(good, provenance) or _about_likeness(good, measures),
        _about_outliers(scores, [picture.path.name for picture in good.pictures]),
        _about_populations(good),
    ):
        if warning is not None:
            _log.warning("%s", warning)
            yield warning


def _about_trained(digests: list[str], provenance: Mapping[str, Any]) -> str | None:
    n_trained = count_trained(digests, provenance)
    if not n_trained:
        return None
    return (
        f"{n_trained} of the {len(digests)} good pictures trained the model: the threshold is too"
        " low, and more good parts than asked for are rejected"
    )


def _about_brightness(good: GoodMaps, provenance: Mapping[str, Any]) -> str | None:
    """Grey levels further from those of training than pixels of one part are from each other."""
    trained, spread = provenance.get("mean"), provenance.get("spread")
    if trained is None or spread is None:
        return None
    mean = float(np.mean([picture.appearance.mean for picture in good.pictures])) / 255
    if abs(mean - trained) <= spread:
        return None
    return (
        f"the good pictures have a mean grey level of {255 * mean:.1f}, those that trained"
        f" {255 * trained:.1f} of 255: is it the same part, exposure and camera depth? train again"
        " on pictures as they come from the line"
    )


def _about_likeness(good: GoodMaps, measures: Sequence[Measure]) -> str | None:
    """Images of another part or from another camera; the map of `whole` has one value."""
    if Measure.WHOLE not in measures:
        return None
    whole = measures.index(Measure.WHOLE)
    median = np.median(
        np.concatenate(
            [maps[:, whole, 0, 0, 0] for i in range(len(good)) for _, maps in good.maps(i)]
        )
    )
    if median <= UNLIKE:
        return None
    return (
        f"the good pictures are {median:.1f} times as far from those that trained as these are from"
        " each other: is it the same part, lens, focus and camera? train again on pictures as they"
        " come from the line"
    )


def _about_outliers(scores: NDArray[np.float64], names: list[str]) -> str | None:
    """Scores (n,) far beyond what nine in ten of the pictures reach, or else three in four."""
    median = np.median(scores)
    for quantile, reach in OUTLIER_REACH.items():
        usual = np.quantile(scores, quantile)
        far = np.flatnonzero(scores > median + reach * (usual - median))
        if far.size:
            break
    else:
        return None
    first = sorted(far, key=lambda i: -scores[i])[:N_EXAMPLES]
    told = ", ".join(f"{names[i]} {scores[i]:.3g}" for i in first)
    return (
        f"{far.size} of the {len(scores)} good pictures score far above the others ({told}; median"
        f" {median:.3g}): a defect among them raises the threshold, and weaker ones pass; look at"
        " them, and calibrate without those that are not good"
    )


def _about_populations(good: GoodMaps) -> str | None:
    groups = find_populations([picture.appearance for picture in good.pictures])
    if groups is None:
        return None
    told = groups.tell([picture.path.name for picture in good.pictures])
    return f"{told}: a threshold of both holds for neither alone; calibrate on one lot and light"
