"""The results of an evaluation as frozen values, and their plain form for `metrics.json`.

Between `evaluate`, which fills them, and the files, charts and tables that show them.
"""

from __future__ import annotations

import csv
import enum
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeinspect.data.layout import GOOD
from edgeinspect.evaluation.baselines import Baseline
from edgeinspect.evaluation.figures import ImageMetrics, PixelMetrics
from edgeinspect.evaluation.peaks import MapPeak
from edgeinspect.runtime.inspection import Verdict

__all__ = [
    "BaselineResult",
    "ClassResult",
    "Counts",
    "Evaluation",
    "EvaluationWarning",
    "PartResult",
    "Summary",
    "WarningKind",
]


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
    `test_sha256` is that of the list of pictures read (`digests.list_sha256`).
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
    TWO_LABELS = "two-labels"
    UNLABELLED = "unlabelled"
    UNREAD = "unread"
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
