"""Ctrl-C: the first asks, the second interrupts, and afterwards all is as before."""

from __future__ import annotations

import signal
import threading

import pytest

from edgeinspect.interruption import Interruption, hangup_asks


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert not interruption.asked
        signal.raise_signal(number)
        assert interruption.event.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_in_another_thread_nothing_is_changed() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def look() -> None:
        with Interruption():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_hangup_asks_and_afterwards_is_as_before() -> None:
    before = signal.getsignal(signal.SIGHUP)
    asked: list[bool] = []
    with hangup_asks(lambda: asked.append(True)):
        signal.raise_signal(signal.SIGHUP)
    assert asked == [True]
    assert signal.getsignal(signal.SIGHUP) is before
