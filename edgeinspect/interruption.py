"""Signals to long work that leaves something whole behind: a checkpoint, the records of a run.

Ctrl-C comes between two steps: the step in hand is finished and kept before the work ends.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Interruption", "hangup_asks", "termination_interrupts"]


class Interruption:
    """While it is entered, the first SIGINT or SIGTERM sets `event`; the second one interrupts.

    Signals reach the main thread alone: entered in another, it waits for nothing.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self._before: dict[signal.Signals, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether someone wants the work to end."""
        return self.event.is_set()

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.event.set()


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """While it is entered SIGTERM interrupts as Ctrl-C does, so that what is half done goes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def hangup_asks(ask: Callable[[], None]) -> Iterator[None]:
    """While it is entered SIGHUP, where the system has it, calls `ask`."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        yield
        return

    def on_hangup(number: int, frame: FrameType | None) -> None:
        ask()

    before = signal.signal(signal.SIGHUP, on_hangup)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
