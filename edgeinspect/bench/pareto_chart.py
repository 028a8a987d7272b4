"""Latency against AUROC of what `plan` measured: numbered points, and what each number is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeinspect.numbers import three_digits
from edgeinspect.report.svg import (
    DEFECT,
    GOOD,
    GRID,
    INK,
    MUTED,
    SMALL_PX,
    TITLE_PX,
    circle,
    line,
    nice_ticks,
    polyline,
    svg,
    text,
)

__all__ = ["Setting", "pareto_chart"]

LEFT, RIGHT, TOP, BOTTOM = 70, 630, 56, 290
FAR = 1.5  # times the slowest setting, from where on a deadline is told and not drawn
ROW, FIRST_ROW = 18, 352
APART_PX = 15  # nearer numbers would cover each other
NUMBER_UP = 9  # px above its point

Place = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A candidate: p99 in milliseconds, AUROC, whether it is on the front, whether it was taken."""

    name: str
    p99_ms: float
    auroc: float
    is_on_front: bool
    is_chosen: bool


def pareto_chart(settings: Sequence[Setting], *, deadline_ms: float) -> str:
    """Settings numbered from the fastest on; those on the front are joined, all are named below.

    In a crowd only the choice and the front have their numbers at their points.
    """
    title = "Latency against AUROC"
    ordered = sorted(settings, key=lambda s: (s.p99_ms, -s.auroc))
    place, xs, ys = _axes(ordered, deadline_ms)
    parts = [text(16, 24, title, size=TITLE_PX, weight=600)]
    for value in xs:
        x, _ = place(value, 0)
        parts += [line(x, TOP, x, BOTTOM, GRID)]
        parts += [text(x, 306, f"{value:g}", anchor="middle", colour=MUTED, size=SMALL_PX)]
    for value in ys:
        _, y = place(0, value)
        parts += [line(LEFT, y, RIGHT, y, GRID)]
        parts += [text(64, y + 4, f"{value:.3f}", anchor="end", colour=MUTED, size=SMALL_PX)]
    parts += _deadline(place(deadline_ms, 0)[0], deadline_ms)
    front = [place(s.p99_ms, s.auroc) for s in ordered if s.is_on_front]
    parts.append(polyline(front, GOOD, width=1.6))
    parts += _points(ordered, place)
    parts.append(text((LEFT + RIGHT) / 2, 326, "p99 from file to record, ms", anchor="middle"))
    parts.append(text(16, 175, "AUROC", anchor="middle", turn=-90))
    parts += _names(ordered)
    return svg(660, FIRST_ROW + ROW * len(ordered), parts, title)


def _axes(
    settings: Sequence[Setting], deadline_ms: float
) -> tuple[Place, list[float], list[float]]:
    """From values to pixels, and the values to mark: about what was measured, not from 0 on."""
    slowest = max(s.p99_ms for s in settings)
    shown = [s.p99_ms for s in settings] + [deadline_ms] * (deadline_ms <= FAR * slowest)
    left, right = _spread(min(shown), max(shown), least=0.1 * slowest)
    low, high = _spread(min(s.auroc for s in settings), max(s.auroc for s in settings), least=0.02)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (RIGHT - LEFT) * (x - left) / (right - left),
            BOTTOM - (BOTTOM - TOP) * (y - low) / (high - low),
        )

    return place, nice_ticks(left, right), nice_ticks(low, min(high, 1.0), 4)


def _spread(low: float, high: float, *, least: float) -> tuple[float, float]:
    margin = max(0.12 * (high - low), least / 2)
    return low - margin, high + margin


def _deadline(x: float, deadline_ms: float) -> list[str]:
    words = f"deadline {deadline_ms:g} ms"
    if x > RIGHT:
        return [text(RIGHT, 44, f"{words}, to the right", anchor="end", size=SMALL_PX)]
    anchor = "end" if x > 560 else "middle"
    return [
        line(x, TOP - 6, x, BOTTOM, DEFECT, width=1.6, dash="5 3"),
        text(min(x, RIGHT), 44, words, anchor=anchor, size=SMALL_PX),
    ]


def _points(ordered: Sequence[Setting], place: Place) -> list[str]:
    """The choice and the front lie on top and have their numbers; others where there is room."""
    spots = [place(setting.p99_ms, setting.auroc) for setting in ordered]
    first = sorted(range(len(ordered)), key=lambda i: -_weight(ordered[i]))
    parts = [circle(*spots[i], _colour(ordered[i])) for i in reversed(first)]
    taken: list[tuple[float, float]] = []
    for i in first:
        (x, y), is_marked = spots[i], _weight(ordered[i]) > 0
        up = y - NUMBER_UP
        while is_marked and _is_beside((x, up), taken):
            up -= SMALL_PX
        points = [spot for spot in spots if spot != spots[i]]
        if not is_marked and (_is_beside((x, up), taken) or _is_beside((x, up - 4), points)):
            continue
        taken.append((x, up))
        bold = 700 if ordered[i].is_on_front else 400
        parts.append(text(x, up, str(i + 1), anchor="middle", size=SMALL_PX, weight=bold))
    return parts


def _weight(setting: Setting) -> int:
    return 2 * setting.is_chosen + setting.is_on_front


def _is_beside(spot: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    (x, y) = spot
    return any(abs(x - a) < APART_PX and abs(y - b) < SMALL_PX for a, b in others)


def _names(ordered: Sequence[Setting]) -> list[str]:
    parts = []
    for i, setting in enumerate(ordered):
        y = FIRST_ROW + ROW * i
        words = f"{setting.name}: {three_digits(setting.p99_ms)} ms, {setting.auroc:.3f}"
        words += ", chosen" if setting.is_chosen else ""
        colour, weight = (INK, 600) if setting.is_on_front else (MUTED, 400)
        parts += [circle(LEFT, y - 4, _colour(setting))]
        parts += [text(LEFT - 10, y, str(i + 1), anchor="end", size=SMALL_PX, weight=weight)]
        parts += [text(LEFT + 12, y, words, size=SMALL_PX, colour=colour, weight=weight)]
    return parts


def _colour(setting: Setting) -> str:
    if setting.is_chosen:
        return DEFECT
    return GOOD if setting.is_on_front else MUTED
