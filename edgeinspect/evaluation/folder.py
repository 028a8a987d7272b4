"""An evaluation as a folder: figures, card, scores, charts and rows, whole or not at all.

    metrics.json  card.md  scores.csv  roc.svg  scores.svg  rows/CLASS.png

Last step of `edgeinspect evaluate`. The folder is filled beside its place and renamed, so a run
that fails leaves nothing, and an older evaluation stays until the new one is complete.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeinspect import metrics
from edgeinspect.bundle import CARD
from edgeinspect.data.images import save_picture
from edgeinspect.data.layout import GOOD
from edgeinspect.evaluation.results import Evaluation
from edgeinspect.report.charts import Curve, ScoreGroup, roc_chart, score_chart
from edgeinspect.writing import (
    draft_folder,
    output_errors,
    refuse_foreign,
    to_utf8,
    write_atomically,
)

__all__ = ["METRICS", "new_folder", "write_evaluation"]

METRICS = "metrics.json"


@contextlib.contextmanager
def new_folder(path: Path, *, force: bool) -> Iterator[Path]:
    """A folder to fill; at the end of the `with` it gets its name, after an error it is gone.

    An empty folder may be in the way; with `force` an older evaluation, which is replaced.
    Raises: OutputError if something else is there, or nothing can be written.
    """
    refuse_foreign(path, marker=METRICS, foreign="is not an evaluation", force=force)
    with draft_folder(path) as draft:
        yield draft


def write_evaluation(
    evaluation: Evaluation, rows: Mapping[str, NDArray[np.uint8]], card: str, folder: Path
) -> None:
    """Write every file of an evaluation; `rows` are contact sheets by class, `card` Markdown.

    Raises: OutputError.
    """
    text = json.dumps(evaluation.plain(), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / METRICS, to_utf8(f"{text}\n"))
    write_atomically(folder / CARD, to_utf8(card))
    write_atomically(folder / "scores.csv", to_utf8(evaluation.scores_csv()))
    write_atomically(folder / "scores.svg", to_utf8(_scores_svg(evaluation)))
    if evaluation.summary.image.auroc.value is not None:
        write_atomically(folder / "roc.svg", to_utf8(_roc_svg(evaluation)))
    if rows:
        with output_errors(folder):
            (folder / "rows").mkdir()
        for label, sheet in rows.items():
            save_picture(folder / "rows" / f"{label}.png", sheet)


def _scores_svg(evaluation: Evaluation) -> str:
    """Histograms of the verdict's score by class, with the threshold."""
    groups = [
        ScoreGroup(
            label=label,
            scores=[p.score for p in evaluation.parts if p.label == label],
            is_defect=label != GOOD,
        )
        for label in evaluation.counts.by_class
    ]
    title = f"Scores of {evaluation.bundle['name']}"
    return score_chart(groups, threshold=evaluation.threshold, title=title)


def _roc_svg(evaluation: Evaluation) -> str:
    """ROC of the verdict's score with its working point, of both scores, and of the baselines."""
    parts = [p for p in evaluation.parts if np.isfinite(p.score)]
    defect = np.array([p.is_defect for p in parts])
    used = np.array([p.score for p in parts])
    image = evaluation.summary.image
    rate, recall = image.false_reject_rate, image.recall_at_threshold
    point = None
    if rate is not None and recall is not None and None not in (rate.value, recall.value):
        point = (float(rate.value or 0), float(recall.value or 0))
    curves = [
        _curve(f"score ({evaluation.bundle['rule']})", used, defect, is_main=True, point=point)
    ]
    for label, scores in (
        ("local score", np.array([p.local_score for p in parts])),
        ("global score", np.array([p.global_score for p in parts])),
    ):
        if not np.array_equal(scores, used):
            curves.append(_curve(label, scores, defect))
    for baseline, result in evaluation.summary.baselines.items():
        sign = -1 if result.direction == "-" else 1
        scores = sign * np.array([p.baselines[baseline] for p in parts])
        mark = f" ({result.direction})" if baseline.is_two_sided else ""
        curves.append(_curve(baseline.words + mark, scores, defect))
    return roc_chart(curves, title=f"ROC of {evaluation.bundle['name']}")


def _curve(
    label: str,
    scores: NDArray[np.float64],
    defect: NDArray[np.bool_],
    *,
    is_main: bool = False,
    point: tuple[float, float] | None = None,
) -> Curve:
    fpr, tpr = metrics.roc_curve(scores, defect)
    area = metrics.auroc(scores, defect)
    return Curve(label=label, fpr=fpr, tpr=tpr, area=area, is_main=is_main, point=point)
