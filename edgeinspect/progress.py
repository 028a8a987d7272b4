"""How long work tells how far it is: one kind of callback for every library function."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["OnProgress", "no_progress"]

OnProgress = Callable[[str, int, int], None]  # the step, how much of it is done, of how much


def no_progress(step: str, done: int, total: int) -> None:
    """For callers that do not look."""
