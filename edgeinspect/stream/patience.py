"""How long to wait before what failed is tried again: a camera, a stream, a sink."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Patience"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Waits that double with each try, spread by a quarter so that not all come at once."""

    first_s: float = 0.5
    most_s: float

    def wait_s(self, n_tries: int) -> float:
        """The wait after so many tries that failed."""
        wait_s = min(self.most_s, self.first_s * 2.0 ** min(n_tries, 20))
        return wait_s * random.uniform(0.75, 1.25)
