"""A run as a service of systemd: says when it is ready, that it lives, and how it goes.

The protocol is `sd_notify(3)`: text in a datagram to the socket that $NOTIFY_SOCKET names.
Without that variable nothing is said.
"""

from __future__ import annotations

import os
import socket
import time

__all__ = ["Service"]

STATUS_S = 5.0


class Service:
    """Use it inside a `with`; leaving it says that the run is ending."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET")
        watchdog_us = int(os.environ.get("WATCHDOG_USEC", "0"))
        is_for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog_s = watchdog_us / 1e6 if is_for_us else 0.0
        self._is_ready = False
        self._next_ping_s = self._next_status_s = 0.0

    def tick(self, *, busy_s: float, status: str) -> None:
        """Called many times a second.

        Args:
            busy_s: how long the session has had its batch; longer than half the watchdog's
                time, and it is left to bark.
            status: one line for `systemctl status`.
        """
        if self._address is None:
            return
        now_s = time.monotonic()
        if not self._is_ready:
            self._is_ready = True
            self._say("READY=1")
        if now_s >= self._next_status_s:
            self._next_status_s = now_s + STATUS_S
            self._say(f"STATUS={status}")
        if self._watchdog_s and now_s >= self._next_ping_s and busy_s < self._watchdog_s / 2:
            self._next_ping_s = now_s + self._watchdog_s / 4
            self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if self._address is None:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]  # an abstract socket
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            try:
                sender.connect(address)
                sender.sendall(text.encode())
            except OSError:
                self._address = None  # nobody listens: that is no reason to end

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *error: object) -> None:
        self._say("STOPPING=1")
