from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeinspect.service import Service


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What listens where systemd would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def heard(listener: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(listener.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_it_says_that_it_is_ready_how_it_goes_and_that_it_ends(systemd):
    with Service() as service:
        assert heard(systemd) == []
        for _ in range(3):
            service.tick(busy_s=0.0, status="3 parts: OK 3")
        assert heard(systemd) == ["READY=1", "STATUS=3 parts: OK 3"]
    assert heard(systemd) == ["STOPPING=1"]


@pytest.mark.parametrize(("busy_s", "is_fed"), [(0.1, True), (6.0, False)])
def test_the_watchdog_is_fed_unless_the_session_hangs(systemd, monkeypatch, busy_s, is_fed):
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    with Service() as service:
        service.tick(busy_s=busy_s, status="")
    assert ("WATCHDOG=1" in heard(systemd)) is is_fed


def test_a_watchdog_of_another_process_is_not_ours(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    with Service() as service:
        service.tick(busy_s=0.0, status="")
    assert "WATCHDOG=1" not in heard(systemd)


def test_without_systemd_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    with Service() as service:
        service.tick(busy_s=0.0, status="")


def test_a_socket_that_nobody_reads_does_not_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    with Service() as service:
        service.tick(busy_s=0.0, status="")


def test_who_has_no_room_for_more_is_told_later_and_nothing_waits(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    for _ in range(20):  # until the listener has no room; each sender alone may send a few
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.sendto(b"", systemd.getsockname())
    with Service() as service:
        service.tick(busy_s=0.0, status="")
        heard(systemd)
        service.tick(busy_s=0.0, status="")
        assert heard(systemd) == ["READY=1", "STATUS=", "WATCHDOG=1"]
