"""Metrics with their intervals: how scores rank and separate parts, and how maps find masks.

What the results of an evaluation are made of. A figure that is not defined on the data at hand (one
class only, no masks) is `None`, in JSON `null`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect import metrics
from edgeinspect.calibration.beta import counted_interval
from edgeinspect.data.layout import GOOD
from edgeinspect.numbers import three_decimals
from edgeinspect.pixel_metrics import FPR_LIMIT

__all__ = ["Figure", "ImageMetrics", "PixelMetrics", "measure_images"]

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A metric with its 95 % interval; None where it is not defined."""

    value: float | None = None
    ci95: tuple[float, float] | None = None

    @property
    def words(self) -> str:
        """`0.910 (0.874 to 0.941)`, without an interval where there is none."""
        if self.ci95 is None:
            return three_decimals(self.value)
        return f"{three_decimals(self.value)} ({self.ci95[0]:.3f} to {self.ci95[1]:.3f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMetrics:
    """How one score ranks and separates parts; the last four only where it has a threshold."""

    auroc: Figure
    average_precision: Figure
    f1_max: Figure
    f1_at_threshold: Figure | None = None
    precision_at_threshold: Figure | None = None
    recall_at_threshold: Figure | None = None
    false_reject_rate: Figure | None = None

    def plain(self) -> dict[str, Any]:
        """`{"auroc": ..., "auroc_ci95": [low, high], ...}`."""
        result: dict[str, Any] = {}
        for name in (field.name for field in fields(self)):
            if (figure := getattr(self, name)) is not None:
                result[name] = figure.value
                result[f"{name}_ci95"] = None if figure.ci95 is None else list(figure.ci95)
        return result


def measure_images(
    scores: Doubles,
    labels: NDArray[np.str_],
    *,
    threshold: float | None = None,
    seed: int,
    n_resamples: int,
) -> ImageMetrics:
    """Every image metric of scores (n,) with class names (n,).

    Intervals: of the AUROC by its standard error, of a share by its count, of the others by
    resampling within the classes. Scores that are not finite are left out.
    """
    kept = np.isfinite(scores)
    scores, labels = scores[kept], labels[kept]
    if not scores.size:
        return ImageMetrics(auroc=Figure(), average_precision=Figure(), f1_max=Figure())
    defect = labels != GOOD
    values: dict[str, float | None] = {
        "auroc": metrics.auroc(scores, defect),
        "average_precision": metrics.average_precision(scores, defect),
        "f1_max": metrics.f1_max(scores, defect),
    }
    intervals = metrics.bootstrap_intervals(
        scores,
        defect,
        strata=labels,
        threshold=threshold,
        rng=np.random.default_rng(seed),
        n_resamples=n_resamples,
    )
    intervals["auroc"] = metrics.auroc_interval(scores, defect)
    if threshold is not None:
        decided = metrics.decision_metrics(scores, defect, threshold)
        values |= {
            "f1_at_threshold": decided.f1,
            "precision_at_threshold": decided.precision,
            "recall_at_threshold": decided.recall,
            "false_reject_rate": decided.false_reject_rate,
        }
        intervals |= _counted_intervals(scores > threshold, defect)
    figures = {n: Figure(value=v, ci95=intervals[n]) for n, v in values.items()}
    return ImageMetrics(**figures)


def _counted_intervals(
    is_ng: NDArray[np.bool_], defect: NDArray[np.bool_]
) -> dict[str, tuple[float, float] | None]:
    return {
        "precision_at_threshold": _share_interval(defect[is_ng]),
        "recall_at_threshold": _share_interval(is_ng[defect]),
        "false_reject_rate": _share_interval(is_ng[~defect]),
    }


def _share_interval(is_hit: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Of the share of parts (n,) that are hits; None of no part."""
    return counted_interval(int(is_hit.sum()), len(is_hit)) if len(is_hit) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelMetrics:
    """How the map finds the drawn masks, over `n_pictures` with `n_regions` defect regions.

    Without intervals: the pixels of a picture are not independent of each other.
    """

    auroc: float | None
    aupro: float | None
    n_pictures: int
    n_regions: int

    def plain(self) -> dict[str, Any]:
        return {
            "auroc": self.auroc,
            "aupro": self.aupro,
            "aupro_fpr_limit": FPR_LIMIT,
            "pictures": self.n_pictures,
            "regions": self.n_regions,
        }
