"""Real servers on loopback, killed and brought back in the middle."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeinspect.stream.frames import Frame
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.sources import captures, open_source
from edgeinspect.stream.sources.live import LiveSource
from tests.stream.ports import free_port

RTSP_SERVER = Path(__file__).parents[1] / "rtsp_server.py"
SYSTEM_PYTHON = "/usr/bin/python3"
SOON = Patience(first_s=0.1, most_s=0.5)
MOST_ITEMS = 2000  # a stream that stays away fails the test


def has_rtsp_server() -> bool:
    if shutil.which(SYSTEM_PYTHON) is None:
        return False
    code = "import gi; gi.require_version('GstRtspServer', '1.0')"
    return subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True).returncode == 0


@contextlib.contextmanager
def rtsp_server(port: int) -> Iterator[None]:
    process = subprocess.Popen(
        [SYSTEM_PYTHON, str(RTSP_SERVER), str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


class _Mjpeg(http.server.BaseHTTPRequestHandler):
    """Noise, picture after picture, until the server is told to end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=part")
        self.end_headers()
        random = np.random.default_rng(0)
        is_over: threading.Event = self.server.is_over  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            while not is_over.wait(0.02):
                picture = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                data = cv2.imencode(".jpg", picture)[1].tobytes()
                head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")

    def log_message(self, *words: object) -> None: ...


@contextlib.contextmanager
def mjpeg_server(port: int) -> Iterator[None]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), _Mjpeg) as server:
        server.is_over = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            server.is_over.set()  # type: ignore[attr-defined]
            server.shutdown()
            thread.join()


def read_through_an_outage(
    url: str, port: int, serve: Callable[[int], contextlib.AbstractContextManager[None]]
) -> list[Frame | Notice]:
    """Some frames, the server's end, its return, and some frames again."""
    stop = threading.Event()
    items: list[Frame | Notice] = []
    with serve(port):
        source = open_source(url)
        assert isinstance(source, LiveSource)
        source._patience = SOON
        frames = source.frames(stop)
        items += itertools.islice(frames, 3)
    while not isinstance(items[-1], Notice):
        items.append(next(frames))
        assert len(items) < MOST_ITEMS
    with serve(port):
        items += itertools.islice(frames, 4)
        stop.set()
        items += frames
    return items


def check(items: list[Frame | Notice]) -> None:
    kinds = [item.kind for item in items if isinstance(item, Notice)]
    assert kinds == [NoticeKind.OUTAGE, NoticeKind.RECOVERED]
    frames = [item for item in items if isinstance(item, Frame)]
    numbers = [int(frame.source.rpartition("#")[2]) for frame in frames]
    assert numbers == list(range(len(frames)))
    assert isinstance(items[-1], Frame)
    assert all(frame.picture is not None for frame in frames)


def test_an_mjpeg_stream_is_found_again_after_its_server_was_gone():
    port = free_port()
    check(read_through_an_outage(f"http://127.0.0.1:{port}/video", port, mjpeg_server))


@pytest.mark.skipif(not has_rtsp_server(), reason="needs Debian's gir1.2-gst-rtsp-server-1.0")
def test_an_rtsp_stream_is_found_again_after_its_server_was_killed(monkeypatch):
    monkeypatch.setattr(captures, "READ_MS", 15_000)  # a busy machine is no outage
    port = free_port()
    check(read_through_an_outage(f"rtsp://127.0.0.1:{port}/line", port, rtsp_server))
