"""A run as a service of systemd: says when it is ready, that it lives, and how it goes.

The protocol is `sd_notify(3)`: text in a datagram to the socket that $NOTIFY_SOCKET names.
Without that variable nothing is said. Whoever listens may be gone, or have no room for more: then
it is said again later, and nothing waits for that.
"""

from __future__ import annotations

import logging
import os
import socket
import time

__all__ = ["Service"]

_log = logging.getLogger(__name__)

STATUS_S = 5.0


class Service:
    """Use it inside a `with`; leaving it says that the run is ending."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        # with "@" it is an abstract socket
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
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
        if self._socket is None:
            return
        now_s = time.monotonic()
        if not self._is_ready:
            self._is_ready = self._say("READY=1")
        if now_s >= self._next_status_s and self._say(f"STATUS={status}"):
            self._next_status_s = now_s + STATUS_S
        is_well = self._watchdog_s and busy_s < self._watchdog_s / 2
        if is_well and now_s >= self._next_ping_s and self._say("WATCHDOG=1"):
            self._next_ping_s = now_s + self._watchdog_s / 4

    def _say(self, text: str) -> bool:
        """Whether it was heard."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError as error:
            _log.debug("systemd does not hear %s: %s", text, error)
            return False
        return True

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *error: object) -> None:
        self._say("STOPPING=1")
        if self._socket is not None:
            self._socket.close()
