"""Charts of a run over time, and of its scores and latencies, as SVG text (`svg.py`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from edgeinspect.report.run_history import Sample
from edgeinspect.report.svg import (
    DEFECT,
    GOOD,
    GRID,
    INK,
    MUTED,
    SMALL_PX,
    TITLE_PX,
    line,
    nice_ticks,
    polyline,
    rectangle,
    svg,
    text,
)

__all__ = ["TimeAxis", "counts_chart", "latency_chart", "score_histogram", "score_over_time"]

NOT_INSPECTED, AWAY = "#a3aab3", "#f3d9a4"
LEFT, WIDTH = 64, 560
STEPS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 6 * 3600, 86400, 7 * 86400)
N_TICKS = 9
LETTER_PX = 5.7  # of small text, on average
N_BINS = 60
PAUSE = 10  # times as long as between parts usually: curves have a gap there
SHORTEST_PAUSE_S = 5.0
MOMENT = 0.1  # of a bin: parts that come within it come together
TAIL_QUANTILE, LONGEST_TAIL = 0.999, 2.5  # of the histogram; the rest is in its outer bars

EPOCH = datetime(1970, 1, 1)

Spans = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """From `start_s` to `end_s`, seconds since the epoch, in the time zone of this machine."""

    start_s: float
    end_s: float

    def x(self, time_s: float) -> float:
        share = (time_s - self.start_s) / max(1e-9, self.end_s - self.start_s)
        return LEFT + WIDTH * min(1.0, max(0.0, share))

    @property
    def bin_s(self) -> float:
        """The width of one of `N_BINS`."""
        return max(1e-9, self.end_s - self.start_s) / N_BINS

    def marks(self, panel: _Panel, *, has_labels: bool = True) -> list[str]:
        """Lines at round times of the clock, with labels below."""
        top, bottom = panel.top, panel.bottom
        span = self.end_s - self.start_s
        longest = STEPS_S[-1] * max(1, math.ceil(span / STEPS_S[-1] / N_TICKS))
        step = next((s for s in STEPS_S if span / s <= N_TICKS), longest)
        form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86400 else "%d %b"
        form = "%b %Y" if step > STEPS_S[-1] else form
        parts = []
        for at in self._round_times(step):
            x, label = self.x(at.timestamp()), at.strftime(form)
            parts.append(line(x, top, x, bottom, GRID))
            if has_labels:
                parts.append(_tick_label(x, bottom + 16, label))
        return parts

    def _round_times(self, step_s: int) -> Iterator[datetime]:
        """What the clock on the wall shows, each `step_s`; summer time ends in between, say."""
        start, end = datetime.fromtimestamp(self.start_s), datetime.fromtimestamp(self.end_s)
        n_steps = math.ceil((start - EPOCH) / timedelta(seconds=step_s))
        at = EPOCH + n_steps * timedelta(seconds=step_s)
        while at <= end:
            yield at
            at += timedelta(seconds=step_s)


def counts_chart(
    axis: TimeAxis,
    slot_s: NDArray[np.float64],
    counts: NDArray[np.int64],
    *,
    width_s: int,
    away: Spans = (),
) -> str:
    """Parts per slot of time, and below it the share that is not OK; (m,) slots, (m, 3) counts."""
    title = f"Parts in {_duration(width_s)}"
    total = counts.sum(axis=1)
    share = 100 * (total - counts[:, 0]) / np.maximum(1, total)
    upper, lower = _Panel(44, 130, float(total.max())), _Panel(214, 70, max(1.0, share.max()))
    parts = [text(LEFT, 22, title, size=TITLE_PX, weight=600), *_verdict_legend(away)]
    for panel in (upper, lower):
        parts += _away_bands(axis, away, panel)
        parts += axis.marks(panel, has_labels=panel is lower) + panel.marks()
    parts.append(text(LEFT, lower.top - 10, "NG and not inspected, %", size=SMALL_PX, colour=MUTED))
    for start, by_verdict, percent in zip(slot_s, counts, share, strict=True):
        x = axis.x(start)
        bar = max(1.0, axis.x(start + width_s) - x - 0.8)
        base = upper.bottom
        for n, colour in zip(by_verdict, (GOOD, DEFECT, NOT_INSPECTED), strict=True):
            tall = max(1.0, upper.height * n / upper.top_value) if n else 0.0
            base -= tall
            parts += [rectangle(x, base, bar, tall, colour)] if n else []
        if percent:
            tall = max(1.0, lower.height * percent / lower.top_value)
            parts.append(rectangle(x, lower.bottom - tall, bar, tall, DEFECT))
    return svg(LEFT + WIDTH + 24, lower.bottom + 30, parts, title)


def score_over_time(
    axis: TimeAxis, sample: Sample, *, away: Spans = (), drift_s: Sequence[float] = ()
) -> str:
    """Median and 95th percentile of score / threshold over time; the threshold is 1.

    What is above `LONGEST_TAIL` lies at the upper edge: one clear defect would flatten all else.
    """
    title = "Score / threshold"
    share, time_s = _shares(sample)
    if not share.size:
        return svg(420, 60, [text(16, 34, f"{title}: no scores", colour=MUTED)], title)
    bins, first = np.unique(_bins(axis, time_s), return_index=True)
    groups, times = np.split(share, first[1:]), np.split(time_s, first[1:])
    high = np.array([np.quantile(group, 0.95) for group in groups])
    median = np.array([np.median(group) for group in groups])
    top = max(1.2, min(LONGEST_TAIL, float(high.max()) * 1.05))
    panel = _Panel(44, 240, top)
    parts = [text(LEFT, 22, title, size=TITLE_PX, weight=600), *_away_bands(axis, away, panel)]
    parts += axis.marks(panel) + panel.marks()
    places = [axis.x(float(of_bin.mean())) for of_bin in times]
    stretches = _stretches(bins, times, axis.bin_s)
    for values, colour, width in ((high, DEFECT, 1.4), (median, GOOD, 2.2)):
        points = list(zip(places, map(panel.y, values.clip(max=top)), strict=True))
        parts += [_piece(points[one], colour, width) for one in stretches]
    y = panel.y(1.0)
    parts.append(line(LEFT, y, LEFT + WIDTH, y, INK, width=1.4, dash="5 3"))
    for at in drift_s:
        x = axis.x(at)
        parts.append(line(x, panel.top, x, panel.bottom, "#b08a2e", width=2))
        parts.append(text(x + 4, panel.top + 11, "drift", size=SMALL_PX, colour="#8a6100"))
    marks = (("median", GOOD), ("95th percentile", DEFECT), ("threshold", INK))
    parts += _legend((*marks, *_away_mark(away)))
    if high.max() > top:
        note = f"above {top:g}: at the edge"
        parts.append(text(LEFT, panel.top - 6, note, size=SMALL_PX, colour=MUTED))
    return svg(LEFT + WIDTH + 24, panel.bottom + 30, parts, title)


def score_histogram(sample: Sample) -> str:
    """Scores of all parts, as a share of their threshold, cut at it into OK and NG."""
    title = "Scores"
    share, _ = _shares(sample)
    if not share.size:
        return svg(420, 60, [text(16, 34, f"{title}: no scores", colour=MUTED)], title)
    high = max(1.2, min(LONGEST_TAIL, float(np.quantile(share, TAIL_QUANTILE))))
    low = min(0.0, max(-LONGEST_TAIL, float(share.min())))
    step = 1.0 / math.ceil(N_BINS / (high - low))  # the threshold is an edge
    edges = np.arange(math.floor(low / step), math.ceil(high / step) + 1) * step
    places = np.ceil(np.round((share - edges[0]) / step, 9)).astype(int) - 1
    counts = np.bincount(places.clip(0, len(edges) - 2), minlength=len(edges) - 1)
    panel = _Panel(44, 190, float(counts.max()))

    def x(value: float) -> float:
        return float(LEFT + WIDTH * (value - edges[0]) / (edges[-1] - edges[0]))

    parts = [text(LEFT, 22, title, size=TITLE_PX, weight=600)]
    for tick in nice_ticks(edges[0], edges[-1]):
        parts.append(line(x(tick), panel.top, x(tick), panel.bottom, GRID))
        parts.append(_tick_label(x(tick), panel.bottom + 16, f"{tick:g}"))
    parts += panel.marks()
    for edge, n in zip(edges[:-1], counts, strict=True):
        if n:
            tall = max(1.5, panel.height * n / panel.top_value)
            colour = DEFECT if edge + step / 2 > 1 else GOOD
            bar = max(1.0, x(edge + step) - x(edge) - 0.8)
            parts.append(rectangle(x(edge), panel.bottom - tall, bar, tall, colour))
    parts.append(line(x(1), panel.top - 6, x(1), panel.bottom, INK, width=1.4, dash="5 3"))
    parts.append(text(x(1), panel.top - 10, "threshold", anchor="middle", size=SMALL_PX))
    note = "score / threshold"
    if share.max() > edges[-1]:
        note += f" (above {edges[-1]:.3g}: in the last bar)"
    if share.min() < edges[0]:
        note += f" (below {edges[0]:.3g}: in the first bar)"
    parts.append(text(LEFT + WIDTH / 2, panel.bottom + 36, note, anchor="middle"))
    return svg(LEFT + WIDTH + 24, panel.bottom + 48, parts, title)


def latency_chart(quantiles_ms: Mapping[str, Sequence[float]]) -> str:
    """One row a stage: p50 as a bar, p90 and p99 as marks; (p50, p90, p99) by its name."""
    title = "Latency by stage, ms"
    first, row, left, width = 58, 30, 110, 380
    most = max((q[-1] for q in quantiles_ms.values()), default=0.0) or 1.0
    bottom = first + row * len(quantiles_ms)

    def x(value: float) -> float:
        return left + width * value / most

    parts = [text(16, 22, title, size=TITLE_PX, weight=600)]
    for tick in nice_ticks(0.0, most):
        parts.append(line(x(tick), first - 8, x(tick), bottom, GRID))
        parts.append(_tick_label(x(tick), bottom + 14, f"{tick:g}"))
    for column, name in enumerate(("p50", "p90", "p99")):
        at = left + width + 60 + 58 * column
        parts.append(text(at, first - 14, name, anchor="end", size=SMALL_PX, colour=MUTED))
        for place, quantiles in enumerate(quantiles_ms.values()):
            value = f"{quantiles[column]:.1f}"
            parts.append(text(at, first + row * place + 15, value, anchor="end"))
    for place, (name, (p50, p90, p99)) in enumerate(quantiles_ms.items()):
        y = first + row * place
        parts.append(text(left - 10, y + 15, name, anchor="end", weight=600))
        parts.append(rectangle(left, y + 4, max(1.0, x(p50) - left), 14, GOOD))
        parts.append(line(x(p50), y + 11, x(p99), y + 11, GOOD, width=1.4))
        parts += [line(x(p), y + 5, x(p), y + 17, GOOD, width=2) for p in (p90, p99)]
    return svg(left + width + 196, bottom + 26, parts, title)


@dataclass(frozen=True, slots=True)
class _Panel:
    """A field of a chart: values from 0 up to `top_value`."""

    top: float
    height: float
    most: float

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def top_value(self) -> float:
        return self.most * 1.04 or 1.0

    def y(self, value: float) -> float:
        return self.bottom - self.height * value / self.top_value

    def marks(self) -> list[str]:
        parts = [line(LEFT, self.bottom, LEFT + WIDTH, self.bottom, MUTED, width=0.8)]
        for tick in nice_ticks(0.0, self.most, 4 if self.height > 100 else 2):
            y = self.y(tick)
            label = f"{tick:,.12g}".replace(",", " ")
            parts.append(line(LEFT, y, LEFT + WIDTH, y, GRID))
            parts.append(text(LEFT - 7, y + 4, label, anchor="end", colour=MUTED, size=SMALL_PX))
        return parts


def _shares(sample: Sample) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(score / threshold, time) of the parts that have a score."""
    has_score = np.isfinite(sample.score) & (sample.threshold > 0)
    return sample.score[has_score] / sample.threshold[has_score], sample.time_s[has_score]


def _away_bands(axis: TimeAxis, away: Spans, panel: _Panel) -> list[str]:
    return [
        rectangle(axis.x(a), panel.top, max(1.5, axis.x(b) - axis.x(a)), panel.height, AWAY)
        for a, b in away
    ]


def _bins(axis: TimeAxis, time_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of `N_BINS` of the axis each time is in."""
    places = (time_s - axis.start_s) / axis.bin_s
    return places.astype(np.int64).clip(0, N_BINS - 1)


def _stretches(
    bins: NDArray[np.int64], times: Sequence[NDArray[np.float64]], bin_s: float
) -> list[slice]:
    """Bins with parts, (m,), in stretches between pauses, which have an empty bin at least.

    A pause is much longer than what usually is between two parts; those that come within a small
    part of a bin count as one, however many come at once.
    """
    moments = np.unique(np.concatenate(times) // (bin_s * MOMENT)) * bin_s * MOMENT
    usual_s = float(np.median(np.diff(moments))) if len(moments) > 1 else 0.0
    pause_s = np.array([after[0] - before[-1] for before, after in itertools.pairwise(times)])
    is_pause = (np.diff(bins) > 1) & (pause_s > max(SHORTEST_PAUSE_S, PAUSE * usual_s))
    edges = [0, *(np.flatnonzero(is_pause) + 1), len(bins)]
    return [slice(start, end) for start, end in itertools.pairwise(edges)]


def _piece(points: Sequence[tuple[float, float]], colour: str, width: float) -> str:
    """A stretch of a curve; a mark where it is a single point."""
    if len(points) > 1:
        return polyline(points, colour, width=width)
    x, y = points[0]
    return rectangle(x - 2, y - 1, 4, 2, colour)


def _tick_label(x: float, y: float, label: str) -> str:
    return text(x, y, label, anchor="middle", colour=MUTED, size=SMALL_PX)


def _verdict_legend(away: Spans) -> list[str]:
    verdicts = (("OK", GOOD), ("NG", DEFECT), ("not inspected", NOT_INSPECTED))
    return _legend((*verdicts, *_away_mark(away)))


def _away_mark(away: Spans) -> tuple[tuple[str, str], ...]:
    return (("outage", AWAY),) if away else ()


def _legend(marks: Sequence[tuple[str, str]]) -> list[str]:
    """Marks in one line, from the right edge."""
    parts, x = [], float(LEFT + WIDTH)
    for name, colour in reversed(marks):
        x -= LETTER_PX * len(name)
        parts.append(text(x, 22, name, size=SMALL_PX, colour=MUTED))
        x -= 14
        parts.append(rectangle(x, 14, 9, 9, colour))
        x -= 14
    return parts


def _duration(seconds: int) -> str:
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            n = seconds // unit
            return f"{n} {name}s" if n > 1 else f"a {name}".replace("a hour", "an hour")
    return "a second" if seconds == 1 else f"{seconds} seconds"
