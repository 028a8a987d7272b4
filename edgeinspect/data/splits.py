"""Which pictures train, select and calibrate: neighbouring files stay together.

Pictures that follow each other on a line show the same part, light and dirt. A split that
separates neighbours measures memory; these cut the list into runs. No random numbers: the
list's order decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST_TO_FIT", "neighbour_folds", "split_neighbours", "spread_places"]

ItemT = TypeVar("ItemT")

N_RUNS = 5
FEWEST_TO_FIT = 40  # good pictures: 12 of them calibrate, the fewest that cross-fitting takes


def neighbour_folds(n: int, k: int) -> NDArray[np.int64]:
    """Fold 0 to k-1 of each of n items, (n,): contiguous runs whose lengths differ by at most 1.

    With n < k there are n folds of one item.
    """
    assert k >= 1, k
    k = max(1, min(k, n))
    return np.arange(n, dtype=np.int64) * k // max(1, n)


def split_neighbours(items: Sequence[ItemT], share: float) -> tuple[list[ItemT], list[ItemT]]:
    """(kept, held out): about `share` of the items held out, in five runs spread over the list.

    Both keep the list's order. With `share` above 0 at least one item is held out, and with two
    items or more at least one is kept. Each run lies in the middle of its fifth of the list; with
    fewer held-out items than runs, each is a run of its own.
    """
    assert 0 <= share < 1, share
    n = len(items)
    n_held = min(max(1, round(share * n)), max(0, n - 1)) if share > 0 else 0
    is_held = np.zeros(n, bool)
    n_runs = max(1, min(N_RUNS, n_held))
    for run in range(n_runs):
        first, last = run * n // n_runs, (run + 1) * n // n_runs
        length = (run + 1) * n_held // n_runs - run * n_held // n_runs
        start = first + (last - first - length) // 2
        is_held[start : start + length] = True
    kept = [item for item, held in zip(items, is_held, strict=True) if not held]
    held_out = [item for item, held in zip(items, is_held, strict=True) if held]
    return kept, held_out


def spread_places(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` places of 0 to n - 1, evenly from the first to the last."""
    places: NDArray[np.int64] = np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)
    return places
