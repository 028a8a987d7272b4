"""Ctrl-C between two steps: the step is finished and a checkpoint kept before training ends."""

from __future__ import annotations

import signal
import threading
from types import FrameType

__all__ = ["Interruption"]


class Interruption:
    """While it is entered, the first SIGINT or SIGTERM sets `asked`; the second one interrupts."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, signal.Handlers] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)  # type: ignore[assignment]
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
