"""From judged parts to figures: per score, per class and per baseline.

After the pictures have been through the bundle; no picture is needed any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeinspect import metrics
from edgeinspect.constants import Threshold
from edgeinspect.data.layout import GOOD
from edgeinspect.evaluation.baselines import Baseline
from edgeinspect.evaluation.figures import ImageMetrics, PixelMetrics, measure_images
from edgeinspect.evaluation.results import BaselineResult, ClassResult, PartResult, Summary
from edgeinspect.pixel_metrics import PixelTally

__all__ = ["Judged", "summarise"]

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Parts with finite scores, and the pixel counts of their maps by class."""

    parts: Sequence[PartResult]
    tallies: Mapping[str, PixelTally]
    n_mapped: Mapping[str, int]
    is_equalised: bool
    threshold: Threshold
    n_resamples: int
    seed: int

    @property
    def labels(self) -> NDArray[np.str_]:
        """(n,) class names, "good" for good parts."""
        return np.array([part.label for part in self.parts])

    def scores(self, name: str) -> Doubles:
        """(n,) of the field `name` of each part."""
        return np.array([getattr(part, name) for part in self.parts], dtype=np.float64)

    def measure(
        self,
        scores: Doubles,
        *,
        chosen: NDArray[np.bool_] | slice = slice(None),
        with_threshold: bool = False,
    ) -> ImageMetrics:
        """Image metrics of scores (n,) of these parts, or of those `chosen` (n,) alone."""
        return measure_images(
            scores[chosen],
            self.labels[chosen],
            threshold=self.threshold.value if with_threshold else None,
            seed=self.seed,
            n_resamples=self.n_resamples,
        )

    def pixel(self, labels: Sequence[str]) -> PixelMetrics:
        """Pixel metrics over the pictures of some classes."""
        tally = sum((self.tallies[n] for n in labels if n in self.tallies), PixelTally.empty())
        return PixelMetrics(
            auroc=tally.auroc(),
            aupro=tally.aupro(),
            n_pictures=sum(self.n_mapped.get(n, 0) for n in labels),
            n_regions=tally.n_regions,
        )


def summarise(judged: Judged) -> Summary:
    """All figures of these parts."""
    equalised = judged.measure(judged.scores("equalised_score")) if judged.is_equalised else None
    labels = list(dict.fromkeys(judged.labels.tolist()))
    return Summary(
        image=judged.measure(judged.scores("score"), with_threshold=True),
        local=judged.measure(judged.scores("local_score")),
        global_=judged.measure(judged.scores("global_score")),
        equalised=equalised,
        pixel=judged.pixel(labels),
        classes={name: _class_result(judged, name) for name in labels if name != GOOD},
        baselines=_baselines(judged),
    )


def _baseline_scores(judged: Judged, baseline: Baseline, *, equalised: bool) -> Doubles | None:
    """(n,) or None where it was not computed."""
    tables = [p.equalised_baselines if equalised else p.baselines for p in judged.parts]
    if any(baseline not in table for table in tables):
        return None
    return np.array([table[baseline] for table in tables])


def _baselines(judged: Judged) -> dict[Baseline, BaselineResult]:
    results = {}
    for baseline in Baseline:
        scores = _baseline_scores(judged, baseline, equalised=False)
        if scores is None:
            continue
        sign = _direction(scores, judged.labels, baseline)
        result = BaselineResult(image=judged.measure(_signed(scores, sign)), direction=sign)
        equal = _baseline_scores(judged, baseline, equalised=True)
        if equal is not None:
            sign = _direction(equal, judged.labels, baseline)
            measured = judged.measure(_signed(equal, sign))
            result = replace(result, equalised=measured, equalised_direction=sign)
        results[baseline] = result
    return results


def _direction(scores: Doubles, labels: NDArray[np.str_], baseline: Baseline) -> str:
    """Minus for a two-sided baseline under which good parts score higher, else plus."""
    auroc = metrics.auroc(scores, labels != GOOD)
    return "-" if baseline.is_two_sided and auroc is not None and auroc < 0.5 else "+"


def _signed(scores: Doubles, direction: str) -> Doubles:
    return -scores if direction == "-" else scores


def _class_result(judged: Judged, name: str) -> ClassResult:
    """One class of defect against all good parts."""
    chosen = (judged.labels == name) | (judged.labels == GOOD)
    defect = judged.labels[chosen] == name

    def area(field: str) -> float | None:
        scores = judged.scores(field)[chosen]
        return metrics.auroc(scores, defect) if np.isfinite(scores).all() else None

    baselines = {}
    for baseline in Baseline:
        scores = _baseline_scores(judged, baseline, equalised=False)
        if scores is not None:
            sign = _direction(scores[chosen], judged.labels[chosen], baseline)
            baselines[baseline] = (metrics.auroc(_signed(scores[chosen], sign), defect), sign)
    return ClassResult(
        n=int(defect.sum()),
        image=judged.measure(judged.scores("score"), chosen=chosen, with_threshold=True),
        local_auroc=area("local_score"),
        global_auroc=area("global_score"),
        equalised_auroc=area("equalised_score") if judged.is_equalised else None,
        pixel=judged.pixel([GOOD, name]),
        baselines=baselines,
    )
