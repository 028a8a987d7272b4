"""The few shapes that charts are drawn with, as SVG text: one `<svg>` that stands alone.

No style sheet, script, id or font file, so that several on one page cannot disturb each other.
Coordinates are pixels of the drawing, y downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = [
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "SMALL_PX",
    "TEXT_PX",
    "TITLE_PX",
    "draw_circle",
    "draw_line",
    "draw_polyline",
    "draw_rect",
    "draw_text",
    "px",
    "svg",
]

INK, MUTED, GRID, PAPER = "#1d2733", "#65717f", "#e3e7ec", "#ffffff"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
SMALL_PX, TEXT_PX, TITLE_PX = 11, 12, 14


def svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    """The whole drawing; `title` is what a screen reader says."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {px(width)} {px(height)}"'
        f' width="{px(width)}" height="{px(height)}" role="img" font-family="{FONT}"'
        f' font-size="{TEXT_PX}">\n<title>{escape(title)}</title>\n'
        f'<rect width="{px(width)}" height="{px(height)}" fill="{PAPER}"/>\n{body}\n</svg>\n'
    )


def draw_text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = TEXT_PX,
    colour: str = INK,
    weight: int = 400,
    anchor: str = "start",
    turn: int = 0,
) -> str:
    turned = f' transform="rotate({turn} {px(x)} {px(y)})"' if turn else ""
    return (
        f'<text x="{px(x)}" y="{px(y)}" font-size="{size}" fill="{colour}" font-weight="{weight}"'
        f' text-anchor="{anchor}"{turned}>{escape(text)}</text>'
    )


def draw_line(
    x0: float, y0: float, x1: float, y1: float, colour: str, *, width: float = 1, dash: str = ""
) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{px(x0)}" y1="{px(y0)}" x2="{px(x1)}" y2="{px(y1)}" stroke="{colour}"'
        f' stroke-width="{px(width)}"{dashed}/>'
    )


def draw_polyline(points: Sequence[tuple[float, float]], colour: str, *, width: float) -> str:
    path = " ".join(f"{px(x)},{px(y)}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{px(width)}"'
        ' stroke-linejoin="round"/>'
    )


def draw_circle(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{px(x)}" cy="{px(y)}" r="4.5" fill="{colour}" stroke="{PAPER}"/>'


def draw_rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return (
        f'<rect x="{px(x)}" y="{px(y)}" width="{px(width)}" height="{px(height)}" fill="{colour}"/>'
    )


def px(value: float) -> str:
    """A coordinate, to a hundredth."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
