"""How large or small a setting may be, and the error that says so."""

from __future__ import annotations

from typing import Any

from edgeinspect.errors import ConfigError

__all__ = [
    "HEAD_WIDTH",
    "LARGEST_BATCH",
    "LARGEST_SEED",
    "LARGEST_WHITE",
    "MAX_ENLARGEMENT",
    "MOST_BLOCKS",
    "MOST_CELLS",
    "MOST_OCTAVES",
    "TOP_K_LIMIT",
    "require_at_least",
    "require_at_most",
    "require_heads",
]

HEAD_WIDTH = 64  # TensorRT's fused attention matches heads of this width
TOP_K_LIMIT = 3839  # TensorRT's TopK takes no more
LARGEST_SEED = 2**63 - 1  # torch takes no more
LARGEST_WHITE = 65535  # of 16 bits
MAX_ENLARGEMENT = 8.0  # beyond it an image is interpolation, not picture
MOST_CELLS = 300_000  # of good parts' features, which say what is usual
MOST_OCTAVES = 4  # of images; each is half as large as the one before
MOST_BLOCKS, LARGEST_BATCH = 1000, 4096  # far beyond what trains, and no machine stalls at once


def require_at_least(config: Any, **lowest: float) -> None:
    """Raise ConfigError for a setting that is below its limit, or no number."""
    for name, low in lowest.items():
        if not getattr(config, name) >= low:
            raise ConfigError(f"{name} is {getattr(config, name)}: it must be at least {low}")


def require_at_most(config: Any, **highest: float) -> None:
    """Raise ConfigError for a setting that is above its limit, or no number."""
    for name, high in highest.items():
        if not getattr(config, name) <= high:
            raise ConfigError(f"{name} is {getattr(config, name)}: it must be at most {high}")


def require_heads(name: str, width: int) -> None:
    """Raise ConfigError unless a width is a whole number of attention heads."""
    if width < HEAD_WIDTH or width % HEAD_WIDTH:
        nearest = max(1, round(width / HEAD_WIDTH)) * HEAD_WIDTH
        raise ConfigError(
            f"{name} is {width}, but heads are {HEAD_WIDTH} wide",
            hint=f"use a multiple of {HEAD_WIDTH}, such as {nearest}",
        )
