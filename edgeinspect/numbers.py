"""Numbers as people read them, the same in warnings, cards, pages and on the console; and as JSON
holds them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = [
    "finite",
    "json_plain",
    "percent",
    "percent_range",
    "three_decimals",
    "three_digits",
    "two_digits",
    "width_by_height",
]


def percent(share: float) -> str:
    """0.05 as "5 %"; three digits."""
    return f"{100 * share:.3g} %"


def percent_range(interval: tuple[float, float]) -> str:
    """(0.01, 0.05) as "1 to 5 %"; two digits, more would promise too much."""
    low, high = interval
    return f"{two_digits(100 * low)} to {two_digits(100 * high)} %"


def two_digits(value: float) -> str:
    """0.012, 12 and 549: two digits, and no power of ten for large numbers."""
    return f"{value:.2g}" if abs(value) < 99.5 else f"{value:.0f}"


def three_digits(value: float) -> str:
    """0.0123, 12.3 and 5490: three digits, and no power of ten for large numbers."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def three_decimals(value: float | None) -> str:
    """0.91 as "0.910", as metrics are written; "-" for one that is not defined."""
    return "-" if value is None else f"{value:.3f}"


def width_by_height(shape: tuple[int, ...]) -> str:
    """(480, 640, ...) of an array as "640 x 480", as people name the size of a picture."""
    return f"{shape[1]} x {shape[0]}"


def finite(value: float | None) -> float | None:
    """The number, or None if it is not finite."""
    return value if value is not None and math.isfinite(value) else None


def json_plain(value: Any, *, digits: int | None = None) -> Any:
    """Values of which JSON can be made; a number that is not finite becomes None, JSON's null.

    Args:
        digits: that floats keep; None: all.
    """
    if isinstance(value, Mapping):
        return {str(key): json_plain(inner, digits=digits) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_plain(inner, digits=digits) for inner in value]
    if isinstance(value, float):
        number = finite(value)
        return number if number is None or digits is None else float(f"{number:.{digits}g}")
    return value
