"""Channels: bounded queues between two stages, which end with what they hold or at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Aborted", "Channel", "Ended"]

ItemT = TypeVar("ItemT")


class Ended(Exception):
    """The stage before has ended, and all that it sent was taken."""


class Aborted(Exception):
    """The stream was given up: no stage goes on."""


class Channel(Generic[ItemT]):
    """At most `depth` items between the stage that puts them and the one that takes them."""

    def __init__(self, depth: int) -> None:
        assert depth >= 1, f"depth is {depth}"
        self._depth = depth
        self._items: deque[ItemT] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._is_aborted = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: ItemT) -> None:
        """Wait for room. Raises: Aborted."""
        with self._changed:
            assert not self._is_closed, "a closed channel takes nothing"
            self._changed.wait_for(lambda: self._is_aborted or len(self._items) < self._depth)
            if self._is_aborted:
                raise Aborted
            self._items.append(item)
            self._changed.notify_all()

    def take(self) -> ItemT:
        """Wait for an item. Raises: Ended, Aborted."""
        item = self.take_until(None)
        assert item is not None
        return item

    def take_until(self, end_s: float | None) -> ItemT | None:
        """Wait for an item, at most until `perf_counter` shows `end_s`; None then.

        Raises: Ended, Aborted.
        """
        with self._changed:
            while not self._items:
                if self._is_aborted:
                    raise Aborted
                if self._is_closed:
                    raise Ended
                left_s = None if end_s is None else end_s - time.perf_counter()
                if left_s is not None and left_s <= 0:
                    return None
                self._changed.wait(left_s)
            if self._is_aborted:
                raise Aborted
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Nothing more will be put; what is in it can still be taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Wake both stages with `Aborted`; what is in it is given up."""
        with self._changed:
            self._is_aborted = True
            self._items.clear()
            self._changed.notify_all()
