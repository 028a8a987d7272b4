"""A setting of the whole process, changed while at least one thread needs it changed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

__all__ = ["Held"]


class Held:
    """Counts who holds it: the first changes the setting, the last puts back what was before."""

    def __init__(self, change: Callable[[], Callable[[], object]]) -> None:
        """`change` makes the change and returns what undoes it."""
        self._change = change
        self._lock = threading.Lock()
        self._n_holders = 0
        self._undo: Callable[[], object] = lambda: None

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        with self._lock:
            if self._n_holders == 0:
                self._undo = self._change()
            self._n_holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_holders -= 1
                if self._n_holders == 0:
                    self._undo()
