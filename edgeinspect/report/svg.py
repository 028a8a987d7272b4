"""SVG as text: the marks that charts are drawn with, one palette, one font.

Every mark carries its own colours: no style sheet, script, id or font file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

__all__ = [
    "DEFECT",
    "GOOD",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "SMALL_PX",
    "TITLE_PX",
    "circle",
    "line",
    "nice_ticks",
    "number",
    "polyline",
    "rectangle",
    "svg",
    "text",
]

INK, MUTED, GRID, PAPER = "#1d2733", "#65717f", "#e3e7ec", "#ffffff"
GOOD, DEFECT = "#2f6f9f", "#cf5f34"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
SMALL_PX, TEXT_PX, TITLE_PX = 11, 12, 14


def nice_ticks(low: float, high: float, n_wanted: int = 6) -> list[float]:
    """About `n_wanted` round numbers (1, 2 or 5 times a power of ten apart) within the range."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / n_wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    """A whole document of marks on paper; lengths and places are in px, here and below."""
    body = "\n".join([rectangle(0, 0, width, height, PAPER), *parts])
    w, h = number(width), number(height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}"'
        f' role="img" font-family="{FONT}" font-size="{TEXT_PX}">\n'
        f"<title>{_shown(title)}</title>\n{body}\n</svg>\n"
    )


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = TEXT_PX,
    colour: str = INK,
    weight: int = 400,
    anchor: str = "start",
    turn: int = 0,
) -> str:
    """Words with their `anchor` (start, middle or end) at a point, turned by `turn` degrees."""
    turned = f' transform="rotate({turn} {number(x)} {number(y)})"' if turn else ""
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{size}" fill="{colour}"'
        f' font-weight="{weight}" text-anchor="{anchor}"{turned}>{_shown(words)}</text>'
    )


def _shown(words: str) -> str:
    """Names of folders may hold characters that XML has no place for."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words))


def line(
    x0: float, y0: float, x1: float, y1: float, colour: str, *, width: float = 1, dash: str = ""
) -> str:
    """A straight line; `dash` is the attribute `stroke-dasharray`."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{number(x0)}" y1="{number(y0)}" x2="{number(x1)}" y2="{number(y1)}"'
        f' stroke="{colour}" stroke-width="{number(width)}"{dashed}/>'
    )


def polyline(points: Sequence[tuple[float, float]], colour: str, *, width: float) -> str:
    """An open line through points (x, y)."""
    path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{number(width)}"'
        ' stroke-linejoin="round"/>'
    )


def circle(x: float, y: float, colour: str) -> str:
    """A dot about a point, with a rim of paper that sets it off from what it lies on."""
    return f'<circle cx="{number(x)}" cy="{number(y)}" r="4.5" fill="{colour}" stroke="{PAPER}"/>'


def number(value: float) -> str:
    """At most two decimals, which is finer than a screen shows."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A filled rectangle; (x, y) is its upper left corner."""
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}"'
        f' height="{number(height)}" fill="{colour}"/>'
    )
