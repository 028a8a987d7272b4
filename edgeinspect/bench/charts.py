"""Charts of a bench: latency distributions, stages and roofline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.numbers import three_digits
from edgeinspect.report.svg import (
    GRID,
    INK,
    MUTED,
    SMALL_PX,
    TITLE_PX,
    circle,
    line,
    nice_ticks,
    polyline,
    rectangle,
    svg,
    text,
)

__all__ = ["LETTER_PX", "Point", "latency_chart", "roofline_chart", "stage_chart"]

BLUE, ORANGE = "#2f6f9f", "#cf5f34"
STAGE_COLOURS = {
    "decode": "#8a929c",
    "resize": "#5b9bb5",
    "copy_in": "#b08a2e",
    "compute": BLUE,
    "copy_out": "#d3b45f",
    "host": "#a35d74",
    "post_process": "#3d8b5f",
    "record": "#8a6bb1",
}
LEFT, WIDTH, ROW = 210, 470, 40
N_BINS = 60
LETTER_PX = 0.6 * SMALL_PX  # a wide one, of a label
LOG_FROM = 8.0  # longest : shortest, from where on an axis of times is logarithmic

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A labelled point; `is_main` stands out."""

    label: str
    x: float
    y: float
    is_main: bool = False


def latency_chart(series: Mapping[str, Sequence[float]]) -> str:
    """A histogram a row, p50 and p99 marked; times in milliseconds."""
    title = "Latency of a call"
    times = {name: np.asarray(values, np.float64) for name, values in series.items()}
    low = min(float(t.min()) for t in times.values())
    high = max(float(np.percentile(t, 99)) for t in times.values())
    scale, ticks = _axis(low, high)
    bottom = 50 + ROW * len(times)
    parts = [text(16, 24, title, size=TITLE_PX, weight=600)]
    parts += _ticks(scale, ticks, top=42, bottom=bottom, unit="ms")
    for i, (name, values) in enumerate(times.items()):
        base = 50 + ROW * (i + 1) - 8
        parts.append(text(LEFT - 10, base - 4, name, anchor="end"))
        parts += _histogram(values, scale, (low, high), base)
    return svg(LEFT + WIDTH + 40, bottom + 44, parts, title)


def _histogram(
    values: NDArray[np.float64], scale: Scale, span: tuple[float, float], base: float
) -> list[str]:
    places = np.array([scale(min(v, span[1])) for v in values])
    counts, edges = np.histogram(places, bins=N_BINS, range=(LEFT, LEFT + WIDTH))
    parts = [line(LEFT, base, LEFT + WIDTH, base, MUTED, width=0.8)]
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            tall = max(2.0, (ROW - 14) * count / counts.max())
            parts.append(rectangle(left + 0.4, base - tall, right - left - 0.8, tall, BLUE))
    for q, colour in ((50, INK), (99, ORANGE)):
        x = scale(min(float(np.percentile(values, q)), span[1]))
        parts.append(line(x, base - ROW + 12, x, base + 3, colour, width=1.6))
    return parts


def stage_chart(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Stacked bars: milliseconds a part of each stage, by variant."""
    title = "Stages of run"
    totals = {name: sum(stages.get(s, 0.0) for s in STAGE_COLOURS) for name, stages in rows.items()}
    high = max(totals.values())
    bottom = 66 + 30 * len(rows)

    def scale(value: float) -> float:
        return LEFT + WIDTH * value / high

    parts = [text(16, 24, title, size=TITLE_PX, weight=600)]
    parts += _stage_legend([s for s in STAGE_COLOURS if any(s in row for row in rows.values())])
    parts += _ticks(scale, nice_ticks(0, high), top=58, bottom=bottom, unit="ms a part")
    for i, (name, stages) in enumerate(rows.items()):
        top, x = 66 + 30 * i, float(LEFT)
        parts.append(text(LEFT - 10, top + 15, name, anchor="end"))
        for stage, colour in STAGE_COLOURS.items():
            width = WIDTH * stages.get(stage, 0.0) / high
            parts.append(rectangle(x, top, width, 20, colour))
            x += width
        parts.append(text(x + 6, top + 15, three_digits(totals[name]), colour=MUTED))
    return svg(LEFT + WIDTH + 60, bottom + 44, parts, title)


def _stage_legend(stages: Sequence[str]) -> list[str]:
    parts, x = [], 16.0
    for stage in stages:
        word = stage.replace("_", " ")
        parts += [rectangle(x, 36, 10, 10, STAGE_COLOURS[stage])]
        parts += [text(x + 14, 45, word, size=SMALL_PX)]
        x += 26 + 6.4 * len(word)
    return parts


def roofline_chart(
    points: Sequence[Point], *, peak_flop_per_s: float, peak_bytes_per_s: float, title: str
) -> str:
    """FLOP/s against FLOP a byte, both logarithmic, under the two limits of the box."""
    ridge = peak_flop_per_s / peak_bytes_per_s
    xs = [p.x for p in points] + [ridge]
    left, right = min(xs) / 4, max(xs) * 4
    low = min([p.y for p in points] + [left * peak_bytes_per_s]) / 2
    high = peak_flop_per_s * 2

    def place(x: float, y: float) -> tuple[float, float]:
        share = math.log(x / left) / math.log(right / left)
        return 70 + 560 * share, 300 - 250 * math.log(y / low) / math.log(high / low)

    roof = [(left, left * peak_bytes_per_s), (ridge, peak_flop_per_s), (right, peak_flop_per_s)]
    parts = [text(16, 24, title, size=TITLE_PX, weight=600)]
    for value in _decades(left, right):
        x, _ = place(value, low)
        parts += [line(x, 50, x, 300, GRID)]
        parts += [text(x, 316, f"{value:g}", anchor="middle", colour=MUTED, size=SMALL_PX)]
    for value in _decades(low, high):
        _, y = place(left, value)
        parts += [line(70, y, 630, y, GRID)]
        parts += [text(64, y + 4, f"{value / 1e9:g}", anchor="end", colour=MUTED, size=SMALL_PX)]
    parts.append(polyline([place(*p) for p in roof], INK, width=2))
    parts += _labelled(points, place)
    parts.append(text(350, 336, "FLOP a byte", anchor="middle"))
    parts.append(text(18, 175, "GFLOP/s", anchor="middle", turn=-90))
    return svg(650, 350, parts, title)


def _labelled(
    points: Sequence[Point], place: Callable[[float, float], tuple[float, float]]
) -> list[str]:
    """Points with their labels below them; a label that another is in the way of goes further."""
    spots = [(place(point.x, point.y), point) for point in points]
    parts = [circle(x, y, BLUE if point.is_main else MUTED) for (x, y), point in spots]
    taken: list[tuple[float, float, float]] = []  # left and right end, baseline
    for (x, y), point in sorted(spots, key=lambda spot: spot[0][1]):
        is_left, below, width = x > 430, y + 14, LETTER_PX * len(point.label)
        anchor, start = ("end", x - 8) if is_left else ("start", x + 8)
        left = start - width if is_left else start
        while any(
            abs(other - below) < SMALL_PX and left < ends and begins < left + width
            for begins, ends, other in taken
        ):
            below += 1
        taken.append((left, left + width, below))
        parts.append(text(start, below, point.label, size=SMALL_PX, anchor=anchor))
    return parts


def _axis(low: float, high: float) -> tuple[Scale, list[float]]:
    """From a value to number, and the values to mark."""
    if high > LOG_FROM * low:
        start, end = low / 1.2, high * 1.2
        factor = WIDTH / math.log(end / start)
        return lambda v: LEFT + factor * math.log(v / start), _decades(start, end)
    margin = max(0.05 * (high - low), 0.01 * high)
    start, end = low - margin, high + margin
    return lambda v: LEFT + WIDTH * (v - start) / (end - start), nice_ticks(start, end)


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within the range; powers alone where that is many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    values = [step * 10.0**power for power in powers for step in steps]
    return [float(f"{v:.6g}") for v in values if low <= v <= high]


def _ticks(
    scale: Scale, ticks: Sequence[float], *, top: float, bottom: float, unit: str
) -> list[str]:
    parts = []
    for tick in ticks:
        x = scale(tick)
        parts.append(line(x, top, x, bottom, GRID))
        parts.append(
            text(x, bottom + 17, f"{tick:g}", anchor="middle", colour=MUTED, size=SMALL_PX)
        )
    parts.append(text(LEFT + WIDTH / 2, bottom + 36, unit, anchor="middle"))
    return parts
