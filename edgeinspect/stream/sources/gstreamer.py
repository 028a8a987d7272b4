"""GStreamer pipelines and a Jetson's CSI cameras, through an OpenCV that was built with GStreamer.

OpenCV hands on what came into appsink, whatever that is: also grey of 16 bits, and rows of YUV
that look like a grey picture of another height. Here that becomes a picture or an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.images import quiet_opencv, to_8_bits
from edgeinspect.errors import DataError
from edgeinspect.stream.sources.live import Capture

__all__ = ["CSI_PIPELINE", "PipelineCapture", "csi_pipeline", "pipeline_opener"]

CSI_PIPELINE = (
    "nvarguscamerasrc sensor-id={number} ! video/x-raw(memory:NVMM) ! nvvidconv !"
    " video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR !"
    " appsink drop=true max-buffers=1 sync=false"
)
N_CHANNELS = (3, 4)  # BGR, and BGRx, whose last is empty


def csi_pipeline(text: str) -> str:
    """The pipeline of csi://N. Raises: DataError if N is no number."""
    sensor = text.partition("://")[2] or "0"
    if not sensor.isdecimal():
        raise DataError(f"{text} is no CSI camera", hint="use csi://0, csi://1, ...")
    return CSI_PIPELINE.format(number=sensor)


def pipeline_opener(text: str, pipeline: str, white_level_16bit: int) -> Callable[[], Capture]:
    """What opens a pipeline; `text` is what its user wrote.

    Raises: DataError if this OpenCV cannot open any.
    """
    text = re.sub(r"://[^/\s]*@", "://", text)  # user and password
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise DataError(
            f"{text} needs an OpenCV with GStreamer, and this one is built without",
            hint="use the OpenCV of JetPack or of the distribution (python3-opencv), in an"
            " environment with --system-site-packages and numpy<2 and without"
            " opencv-python-headless",
        )

    def connect() -> Capture:
        with quiet_opencv():
            capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            capture.release()
            raise DataError(
                f"{text} cannot be opened",
                hint="the pipeline must end in appsink; try it with gst-launch-1.0 and fakesink",
            )
        return PipelineCapture(capture, text, white_level_16bit)

    return connect


class PipelineCapture:
    """Pictures of an open `cv2.VideoCapture`, whose frames are as appsink was given them."""

    def __init__(self, capture: Any, name: str, white_level_16bit: int = 65535) -> None:
        self._capture = capture
        self._name = name
        self._white_level_16bit = white_level_16bit

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """As `Capture.read`. Raises: DataError if frames are no BGR and no grey."""
        is_read, frame = self._capture.read()
        if not is_read or frame is None:
            return False, None
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        is_grey = frame.ndim == 2
        if frame.shape[0] != height or not (is_grey or frame.shape[2] in N_CHANNELS):
            raise DataError(
                f"{self._name} delivers frames that are neither BGR nor grey",
                hint="end the pipeline in: videoconvert ! video/x-raw,format=BGR ! appsink",
            )
        return True, to_8_bits(frame if is_grey else frame[..., :3], self._white_level_16bit)

    def release(self) -> None:
        self._capture.release()
