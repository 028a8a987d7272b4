"""What OpenCV opens: cameras by number, RTSP, MJPEG over HTTP, pipelines of GStreamer."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import cv2

from edgeinspect.data.images import quiet_opencv
from edgeinspect.errors import DataError
from edgeinspect.holding import Held
from edgeinspect.stream.sources.gstreamer import csi_pipeline, pipeline_opener
from edgeinspect.stream.sources.live import Capture, LiveSource

__all__ = ["SCHEMES", "is_capture", "open_capture"]

SCHEMES = ("rtsp", "rtsps", "http", "https", "csi")
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
OPEN_MS = 10_000
READ_MS = 5_000  # a stream that is silent for so long is lost


def is_capture(text: str) -> bool:
    """Whether a word means something that OpenCV opens."""
    return bool(
        re.fullmatch(r"(/dev/video)?\d{1,9}", text)
        or re.match(rf"({'|'.join(SCHEMES)})://|gst:", text, re.IGNORECASE)
    )


def open_capture(text: str, *, white_level_16bit: int = 65535) -> LiveSource:
    """The live source that a word means.

    Args:
        white_level_16bit: what a pipeline that delivers grey of 16 bits holds for white.
    Raises: DataError if it cannot be opened or nothing comes from it.
    """
    if text[:4].lower() == "gst:":
        return LiveSource("gst", pipeline_opener(text, text[4:], white_level_16bit))
    if text[:6].lower() == "csi://":
        return LiveSource(text, pipeline_opener(text, csi_pipeline(text), white_level_16bit))
    if "://" in text:
        name = _without_secrets(text)
        return LiveSource(name, _stream(text, name))
    number = int(re.sub(r"\D", "", text))
    return LiveSource(f"/dev/video{number}", _camera(number))


def _camera(number: int) -> Callable[[], Capture]:
    def connect() -> Capture:
        hint = "look at `ls /dev/video*`, and whether another program holds it"
        with quiet_opencv():
            return _checked(cv2.VideoCapture(number), f"camera {number}", hint)

    return connect


def _stream(url: str, name: str) -> Callable[[], Capture]:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg prints; the error says it
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]

    def connect() -> Capture:
        hint = "look whether the address plays in another program on this machine"
        with quiet_opencv(), _STREAM_OPTIONS.hold():
            return _checked(cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits), name, hint)

    return connect


def _tell_ffmpeg() -> Callable[[], object]:
    """What FFmpeg is told of streams: a video file that is opened with it lacks its last frame.

    What the user says there stays.
    """
    if OPTIONS in os.environ:
        return lambda: None
    os.environ[OPTIONS] = "rtsp_transport;tcp|fflags;nobuffer"
    return lambda: os.environ.pop(OPTIONS)


_STREAM_OPTIONS = Held(_tell_ffmpeg)


def _checked(capture: object, name: str, hint: str) -> Capture:
    """An open capture. Raises: DataError."""
    assert isinstance(capture, cv2.VideoCapture)
    if not capture.isOpened():
        capture.release()
        raise DataError(f"{name} cannot be opened", hint=hint)
    return capture


def _without_secrets(url: str) -> str:
    """An address as records may show it: without user, password and query.

    Raises: DataError, which shows nothing of it, if it cannot be taken apart.
    """
    scheme = url.partition(":")[0].lower()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or "@" in parts.path:
        raise DataError(
            f"the {scheme}:// address of a source cannot be read",
            hint=f"write {scheme}://USER:PASSWORD@HOST:PORT/PATH, with %40 for @ and %2F for / in"
            " a password",
        )
    where = f"[{host}]" if ":" in host else host
    return f"{scheme}://{where}{'' if port is None else f':{port}'}{parts.path}"
