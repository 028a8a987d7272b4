"""Charts as SVG text: ROC curves, and where the scores of each class lie beside the threshold.

After evaluation, for `roc.svg`, `scores.svg` and the pages that show them. A chart is one `<svg>`
element that stands alone as a file and can be put into HTML as it is: no style sheet, script, id
or font file, so that several on one page cannot disturb each other. Numbers come in, text goes out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeinspect.report.svg import (
    DEFECT,
    GOOD,
    GRID,
    INK,
    MUTED,
    PAPER,
    SMALL_PX,
    TITLE_PX,
    circle,
    line,
    nice_ticks,
    number,
    polyline,
    svg,
    text,
)

__all__ = ["Curve", "ScoreGroup", "roc_chart", "score_chart"]

# Side curves in falling contrast to the main one, which is GOOD's blue and thick.
SIDE_COLOURS = ("#cf5f34", "#3d8b5f", "#8a6bb1", "#b08a2e", "#5b9bb5", "#a35d74", "#8a929c")
LABEL_PX, LONGEST_LABEL = 8, 40  # a letter's width, at most, and how many are shown
TAIL_QUANTILE = 0.98  # scores beyond it may share the last bin, so that one does not flatten all
N_BINS = 44


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """One ROC curve: rates (m,) from (0, 0) to (1, 1), as `metrics.roc_curve` gives them.

    `point` is the (false-positive, true-positive) rate of the threshold in use.
    """

    label: str
    fpr: ArrayLike
    tpr: ArrayLike
    area: float | None = None
    is_main: bool = False
    point: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreGroup:
    """The scores (n,) of one class: good parts, or one kind of defect."""

    label: str
    scores: ArrayLike
    is_defect: bool


def roc_chart(curves: Sequence[Curve], *, title: str = "ROC") -> str:
    """Curves over the chance diagonal; a legend with the areas stands where curves seldom go."""
    left, top, side = 52, 40, 340

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x * side, top + (1 - y) * side

    parts = [text(left, 22, title, size=TITLE_PX, weight=600)]
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        (x, y), label = place(tick, tick), f"{tick:.1f}"
        parts += [line(x, top, x, top + side, GRID), line(left, y, left + side, y, GRID)]
        parts += [text(x, top + side + 16, label, anchor="middle", colour=MUTED, size=SMALL_PX)]
        parts += [text(left - 7, y + 4, label, anchor="end", colour=MUTED, size=SMALL_PX)]
    parts.append(line(*place(0, 0), *place(1, 1), MUTED, dash="3 4"))
    parts += [
        text(left + side / 2, top + side + 36, "false-reject rate", anchor="middle"),
        text(15, top + side / 2, "detection rate", anchor="middle", turn=-90),
    ]
    colours = _curve_colours(curves)
    for curve, colour in sorted(zip(curves, colours, strict=True), key=lambda c: c[0].is_main):
        points = [place(x, y) for x, y in _corners(curve.fpr, curve.tpr)]
        parts.append(polyline(points, colour, width=2.4 if curve.is_main else 1.3))
        if curve.point is not None:
            x, y = place(*curve.point)
            parts.append(circle(x, y, colour))
    parts += _legend(curves, colours, right=left + side - 8, bottom=top + side - 10)
    return svg(left + side + 22, top + side + 50, parts, title)


def _curve_colours(curves: Sequence[Curve]) -> list[str]:
    colours, n_side = [], 0
    for curve in curves:
        colours.append(GOOD if curve.is_main else SIDE_COLOURS[n_side % len(SIDE_COLOURS)])
        n_side += not curve.is_main
    return colours


def _corners(fpr: ArrayLike, tpr: ArrayLike) -> NDArray[np.float64]:
    """(m', 2) points of the curve without those in the middle of a straight run."""
    points = np.stack([np.asarray(fpr, float), np.asarray(tpr, float)], axis=1)
    if len(points) < 3:
        return points
    before, after = points[1:-1] - points[:-2], points[2:] - points[1:-1]
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    kept = np.concatenate([[True], np.abs(turn) > 1e-12, [True]])
    return np.asarray(points[kept])


def _legend(
    curves: Sequence[Curve], colours: Sequence[str], *, right: float, bottom: float
) -> list[str]:
    """Lines of label and area, upwards from the corner, on a paper-coloured plate."""
    step, width = 17, 186
    top = bottom - step * len(curves)
    plate = (
        f'<rect x="{number(right - width)}" y="{number(top - 4)}" width="{width}"'
        f' height="{step * len(curves) + 8}" rx="4" fill="{PAPER}" fill-opacity="0.88"/>'
    )
    parts = [plate] if curves else []
    for row, (curve, colour) in enumerate(zip(curves, colours, strict=True)):
        y = top + step * row + 12
        weight, x = 600 if curve.is_main else 400, right - width + 8
        parts.append(line(x, y - 4, x + 16, y - 4, colour, width=2.4 if curve.is_main else 1.6))
        parts.append(text(x + 22, y, curve.label, size=SMALL_PX, weight=weight))
        if curve.area is not None:
            value = f"{curve.area:.3f}"
            parts.append(text(right - 6, y, value, size=SMALL_PX, weight=weight, anchor="end"))
    return parts


def score_chart(
    groups: Sequence[ScoreGroup], *, threshold: float | None = None, title: str = "Scores"
) -> str:
    """One histogram a class on a common axis, good parts first, with the threshold through all.

    Bars the threshold puts on the wrong side are hollow. Each row has its own height scale: rows
    compare where scores lie, the number at the right how many. Non-finite scores are left out.
    """
    groups = [g for g in sorted(groups, key=lambda g: g.is_defect) if _finite(g.scores).size]
    if not groups:
        return svg(420, 60, [text(16, 34, f"{title}: no scores", colour=MUTED)], title)
    longest = max(len(_label(group)) for group in groups)
    axis = _ScoreAxis.over(
        np.concatenate([_finite(group.scores) for group in groups]),
        threshold,
        left=max(132, 20 + LABEL_PX * longest),
    )
    row_height, first = 58, 58
    bottom = first + row_height * len(groups)
    parts = [text(16, 24, title, size=TITLE_PX, weight=600)]
    for tick in nice_ticks(axis.low, axis.high):
        x = axis.x(tick)
        parts.append(line(x, first - 8, x, bottom, GRID))
        parts.append(
            text(x, bottom + 17, f"{tick:g}", anchor="middle", colour=MUTED, size=SMALL_PX)
        )
    for row, group in enumerate(groups):
        parts += _score_row(group, axis, threshold, top=first + row * row_height, height=row_height)
    if threshold is not None:
        x = axis.x(threshold)
        parts.append(line(x, first - 12, x, bottom, INK, width=1.4, dash="5 3"))
        parts.append(
            text(x, first - 17, f"threshold {threshold:.3g}", anchor="middle", size=SMALL_PX)
        )
    note = "score" + (f" (above {axis.high:.3g}: in the last bar)" if axis.is_cut else "")
    parts.append(text(axis.left + axis.width / 2, bottom + 36, note, anchor="middle"))
    return svg(axis.left + axis.width + 118, bottom + 48, parts, title)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScoreAxis:
    """Bins of one width with the threshold on an edge, and where they stand in the picture."""

    low: float
    high: float
    step: float
    is_cut: bool
    left: int
    width: int = 460

    @classmethod
    def over(cls, scores: NDArray[np.float64], threshold: float | None, *, left: int) -> _ScoreAxis:
        low, high = float(scores.min()), float(np.quantile(scores, TAIL_QUANTILE))
        if float(scores.max()) <= high + 0.25 * (high - low):
            high = float(scores.max())
        anchor = low if threshold is None else threshold
        low, high = min(low, anchor), max(high, anchor)
        step = (high - low) / N_BINS or max(abs(low), 1.0) / N_BINS
        low = anchor - step * (math.ceil(round((anchor - low) / step, 6)) + 1)
        high = anchor + step * (math.ceil(round((high - anchor) / step, 6)) + 1)
        return cls(low=low, high=high, step=step, is_cut=float(scores.max()) > high, left=left)

    def x(self, score: float) -> float:
        return self.left + self.width * (score - self.low) / (self.high - self.low)

    def counts(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Histogram with bins (low, low + step], so that a score at the threshold lies below it."""
        n_bins = round((self.high - self.low) / self.step)
        places = np.ceil(np.round((scores - self.low) / self.step, 9)).astype(int) - 1
        return np.bincount(np.clip(places, 0, n_bins - 1), minlength=n_bins)


def _label(group: ScoreGroup) -> str:
    is_long = len(group.label) > LONGEST_LABEL
    return f"{group.label[: LONGEST_LABEL - 1]}…" if is_long else group.label


def _score_row(
    group: ScoreGroup, axis: _ScoreAxis, threshold: float | None, *, top: float, height: float
) -> list[str]:
    scores, colour = _finite(group.scores), DEFECT if group.is_defect else GOOD
    counts, base = axis.counts(scores), top + height - 10
    parts = [line(axis.left, base, axis.left + axis.width, base, MUTED, width=0.8)]
    bar_width = axis.x(axis.low + axis.step) - axis.x(axis.low)
    for place in np.flatnonzero(counts):
        low = axis.low + place * axis.step
        is_rejected = threshold is not None and low + axis.step / 2 > threshold
        is_wrong = threshold is not None and is_rejected != group.is_defect
        tall = max(2.0, (height - 18) * counts[place] / counts.max())
        paint = (
            f'fill="{PAPER}" stroke="{colour}" stroke-width="1.2"'
            if is_wrong
            else f'fill="{colour}"'
        )
        parts.append(
            f'<rect x="{number(axis.x(low) + 0.8)}" y="{number(base - tall)}"'
            f' width="{number(bar_width - 1.6)}" height="{number(tall)}" {paint}/>'
        )
    n_rejected = 0 if threshold is None else int((scores > threshold).sum())
    tally = f"{scores.size}" if threshold is None else f"{n_rejected} of {scores.size} NG"
    right = axis.left + axis.width + 10
    parts.append(text(axis.left - 10, base - 2, _label(group), anchor="end", weight=600))
    parts.append(text(right, base - 2, tally, colour=MUTED))
    return parts


def _finite(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64).ravel()
    return values[np.isfinite(values)]
