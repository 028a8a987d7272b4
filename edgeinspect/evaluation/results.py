"""The figures of an evaluation as frozen values, and their plain form for `metrics.json`.

Between `evaluate`, which fills them, and the files, charts and tables that show them. A figure
that is not defined on the data at hand (one class only, no masks) is `None`, in JSON `null`.
"""

from __future__ import annotations

import csv
import enum
import io
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect import metrics
from edgeinspect.calibration.beta import beta_quantile
from edgeinspect.data.layout import GOOD
from edgeinspect.evaluation.baselines import Baseline
from edgeinspect.evaluation.peaks import MapPeak
from edgeinspect.numbers import three_decimals
from edgeinspect.pixel_metrics import FPR_LIMIT
from edgeinspect.runtime.inspection import Verdict

__all__ = [
    "BaselineResult",
    "ClassResult",
    "Counts",
    "Evaluation",
    "EvaluationWarning",
    "Figure",
    "ImageMetrics",
    "PartResult",
    "PixelMetrics",
    "Summary",
    "WarningKind",
    "measure_images",
]

Scores = NDArray[np.float64]


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
    scores: Scores,
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
        "precision_at_threshold": _counted_interval(defect[is_ng]),
        "recall_at_threshold": _counted_interval(is_ng[defect]),
        "false_reject_rate": _counted_interval(is_ng[~defect]),
    }


def _counted_interval(is_hit: NDArray[np.bool_]) -> tuple[float, float] | None:
    """95 % interval of the share of parts (n,) that are hits (Clopper and Pearson, 1934).

    Resampling would call none of three as sure as none of a thousand.
    """
    n, n_hits = len(is_hit), int(is_hit.sum())
    if not n:
        return None
    tail = (1 - metrics.CONFIDENCE) / 2
    low = beta_quantile(tail, n_hits, n - n_hits + 1) if n_hits else 0.0
    high = beta_quantile(1 - tail, n_hits + 1, n - n_hits) if n_hits < n else 1.0
    return low, high


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineResult:
    """A baseline's figures; `direction` is "+" where defects score higher, else "-".

    For a two-sided baseline it is the better one on this very test set. `equalised` is the same
    after equal mean and spread, with a direction of its own; None where that was not done.
    """

    image: ImageMetrics
    direction: str
    equalised: ImageMetrics | None = None
    equalised_direction: str | None = None

    def plain(self) -> dict[str, Any]:
        equalised = None
        if self.equalised is not None:
            equalised = {**self.equalised.plain(), "direction": self.equalised_direction}
        return {**self.image.plain(), "direction": self.direction, "equalised": equalised}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassResult:
    """One class of defect against all good parts."""

    n: int
    image: ImageMetrics
    local_auroc: float | None
    global_auroc: float | None
    equalised_auroc: float | None
    pixel: PixelMetrics
    baselines: Mapping[Baseline, tuple[float | None, str]]

    def plain(self) -> dict[str, Any]:
        return {
            "n": self.n,
            **self.image.plain(),
            "local_auroc": self.local_auroc,
            "global_auroc": self.global_auroc,
            "equalised_auroc": self.equalised_auroc,
            "pixel": self.pixel.plain(),
            "baselines": {
                baseline.value: {"auroc": value, "direction": direction}
                for baseline, (value, direction) in self.baselines.items()
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was read and what was left out; names are relative to the data folder.

    `by_class` counts the judged pictures, good ones under "good". `n_reference` good pictures
    stood behind the baselines. `masks_missing` defects had no mask that could be read.
    `test_sha256` is that of the list of pictures read (`data.images.list_sha256`).
    """

    by_class: Mapping[str, int]
    unreadable: tuple[str, ...]
    not_finite: tuple[str, ...]
    masks_missing: tuple[str, ...]
    n_reference: int
    test_sha256: str

    def plain(self) -> dict[str, Any]:
        n_judged = sum(self.by_class.values())
        return {
            "judged": n_judged,
            "good": self.by_class.get(GOOD, 0),
            "defects": n_judged - self.by_class.get(GOOD, 0),
            "by_class": dict(self.by_class),
            "unreadable": len(self.unreadable),
            "unreadable_names": list(self.unreadable),
            "not_finite": len(self.not_finite),
            "not_finite_names": list(self.not_finite),
            "masks_missing": len(self.masks_missing),
            "masks_missing_names": list(self.masks_missing),
            "baseline_reference": self.n_reference,
            "test_sha256": self.test_sha256,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """One test picture: a line of `scores.csv`. NaN for what was not computed.

    `map_peak` is where its map is highest; None if it has no map.
    """

    name: str
    label: str
    is_defect: bool
    verdict: Verdict
    score: float
    local_score: float
    global_score: float
    scale: int
    equalised_score: float
    baselines: Mapping[Baseline, float]
    equalised_baselines: Mapping[Baseline, float]
    map_peak: MapPeak | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of an evaluation.

    `image` is the score that the verdict uses, `local` and `global_` the two that are always
    reported, `equalised` the verdict's after equal mean and spread.
    """

    image: ImageMetrics
    local: ImageMetrics
    global_: ImageMetrics
    equalised: ImageMetrics | None
    pixel: PixelMetrics
    classes: Mapping[str, ClassResult]
    baselines: Mapping[Baseline, BaselineResult]

    def plain(self) -> dict[str, Any]:
        return {
            "image": self.image.plain(),
            "image_local": self.local.plain(),
            "image_global": self.global_.plain(),
            "image_equalised": None if self.equalised is None else self.equalised.plain(),
            "pixel": self.pixel.plain(),
            "classes": {name: result.plain() for name, result in self.classes.items()},
            "baselines": {b.value: result.plain() for b, result in self.baselines.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationWarning:
    """What must be known before a figure is believed: one sentence, without its full stop.

    `kind` is stable, for machines.
    """

    kind: WarningKind
    text: str

    def __str__(self) -> str:
        return self.text


class WarningKind(str, enum.Enum):
    """What a warning is about; the value is its `kind` in metrics.json."""

    NO_GOOD_PICTURES = "no-good-pictures"
    TRAINED_ON = "trained-on"
    COMPARED_WITH = "compared-with"
    ONE_CLASS = "one-class"
    CHANCE = "chance"
    SHORTCUT = "shortcut"
    EQUALISED = "equalised"
    BASELINE = "baseline"
    SMOOTH_FILL = "smooth-fill"
    NOT_LEARNT = "not-learnt"
    POPULATIONS = "populations"
    TEST_GOOD_DIFFER = "test-good-differ"
    FALSE_REJECTS = "false-rejects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All that `evaluate` found out.

    `bundle` says in JSON types which bundle it was and how it was run; `parts` are in the order of
    the data.
    """

    summary: Summary
    counts: Counts
    bundle: Mapping[str, Any]
    threshold: float
    warnings: tuple[EvaluationWarning, ...]
    parts: tuple[PartResult, ...]

    def plain(self) -> dict[str, Any]:
        """What `metrics.json` holds; JSON types only."""
        return {
            **self.summary.plain(),
            "counts": self.counts.plain(),
            "bundle": dict(self.bundle),
            "warnings": [{"kind": w.kind.value, "text": w.text} for w in self.warnings],
        }

    def scores_csv(self) -> str:
        """One line a picture, `metrics.json`'s names as columns; empty where not computed."""
        baselines = list(self.summary.baselines)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            ["picture", "label", "verdict", "score", "threshold", "local_score", "global_score"]
            + ["scale", "score_equalised"]
            + [b.value for b in baselines]
            + [f"{b.value}_equalised" for b in baselines]
        )
        for part in self.parts:
            numbers = [part.score, self.threshold, part.local_score, part.global_score]
            more = [part.equalised_score]
            more += [part.baselines.get(b, np.nan) for b in baselines]
            more += [part.equalised_baselines.get(b, np.nan) for b in baselines]
            cells = [*map(_cell, numbers), str(part.scale), *map(_cell, more)]
            writer.writerow([part.name, part.label, part.verdict.value, *cells])
        return text.getvalue()


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.7g}"
