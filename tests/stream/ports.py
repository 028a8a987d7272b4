"""Ports for servers that tests start, stop and start again at the same place."""

from __future__ import annotations

import random
import socket

# Below those that systems give to whoever connects (32768 on Linux): a server that is away for a
# while finds its port free again, and no client that tries it meanwhile connects to itself.
FIRST, LAST = 20_000, 32_000

_random = random.SystemRandom()  # tests that run side by side must not draw the same


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    while True:
        port = _random.randint(FIRST, LAST)
        if not is_listening(port):
            return port


def is_listening(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
