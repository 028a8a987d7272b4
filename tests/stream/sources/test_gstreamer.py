"""Pipelines: with stand-ins for captures, and with Debian's OpenCV, in Debian's own Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeinspect.errors import DataError
from edgeinspect.stream.sources.gstreamer import PipelineCapture, csi_pipeline

ROOT = Path(__file__).parents[3]
READER = ROOT / "tests" / "stream" / "gstreamer_frames.py"
SYSTEM_PYTHON = "/usr/bin/python3"
HEIGHT, WIDTH = 48, 64


def has_gstreamer() -> bool:
    if shutil.which(SYSTEM_PYTHON) is None:
        return False
    code = "import cv2; assert cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER)"
    return subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True).returncode == 0


def read(*pipelines: str, n_frames: int = 2) -> list[dict[str, Any]]:
    """What a Python with GStreamer reads from each."""
    done = subprocess.run(
        [SYSTEM_PYTHON, str(READER), str(n_frames), *pipelines],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class FakeCapture:
    """One frame, then nothing, as a `cv2.VideoCapture` of `HEIGHT` rows."""

    def __init__(self, frame: Any) -> None:
        self.frames = [frame]
        self.is_released = False

    def read(self) -> tuple[bool, Any]:
        return (True, self.frames.pop()) if self.frames else (False, None)

    def get(self, _: int) -> float:
        return float(HEIGHT)

    def release(self) -> None:
        self.is_released = True


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 3), (HEIGHT, WIDTH, 4)])
def test_grey_and_colour_are_pictures(shape: tuple[int, ...]):
    frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    capture = PipelineCapture(FakeCapture(frame), "gst:line")
    is_read, picture = capture.read()
    assert is_read
    np.testing.assert_array_equal(picture, frame[..., :3] if len(shape) == 3 else frame)
    assert capture.read() == (False, None)


def test_grey_of_16_bits_is_scaled_by_its_white_not_cut():
    frame = np.full((HEIGHT, WIDTH), 2048, np.uint16)
    _, picture = PipelineCapture(FakeCapture(frame), "gst:line", 4095).read()
    assert picture is not None
    assert picture.dtype == np.uint8
    assert np.unique(picture).tolist() == [128]


@pytest.mark.parametrize(
    "shape", [(HEIGHT * 3 // 2, WIDTH), (HEIGHT, WIDTH, 2)], ids=["NV12", "YUY2"]
)
def test_rows_of_yuv_are_no_picture_and_it_is_said_what_to_write(shape: tuple[int, ...]):
    capture = PipelineCapture(FakeCapture(np.zeros(shape, np.uint8)), "gst:line")
    with pytest.raises(DataError, match=r"gst:line delivers.*neither BGR nor grey.*format=BGR"):
        capture.read()


def test_what_is_released_is_the_capture():
    fake = FakeCapture(None)
    PipelineCapture(fake, "gst:line").release()
    assert fake.is_released


def test_a_csi_camera_has_a_number():
    assert "sensor-id=1 " in csi_pipeline("csi://1")
    assert "sensor-id=0 " in csi_pipeline("csi://")
    with pytest.raises(DataError, match="csi://left is no CSI camera"):
        csi_pipeline("csi://left")


@pytest.mark.skipif(not has_gstreamer(), reason="needs Debian's python3-opencv")
class TestWithGStreamer:
    def test_pipelines_deliver_pictures_and_are_opened_again_when_they_end(self):
        caps = f"width={WIDTH},height={HEIGHT} ! appsink"
        source = "videotestsrc num-buffers=2 pattern=gradient ! video/x-raw"
        colour, grey = read(
            f"{source},format=BGR,{caps}", f"{source},format=GRAY16_LE,{caps}", n_frames=3
        )
        assert colour["shape"] == [HEIGHT, WIDTH, 3]
        assert grey["shape"] == [HEIGHT, WIDTH]
        for found in (colour, grey):
            assert found["names"] == ["gst#0", "gst#1", "gst#2"]
            assert found["dtype"] == "uint8"
            assert found["values"][1] > 200
            assert found["notices"] == ["outage", "recovered"]

    def test_what_delivers_no_picture_is_an_error(self):
        yuv, missing = read(
            "videotestsrc ! video/x-raw,format=NV12,width=64,height=48 ! appsink",
            "nosuchsource ! appsink",
        )
        assert "neither BGR nor grey" in yuv["error"]
        assert "cannot be opened" in missing["error"]

    def test_the_pipeline_of_a_csi_camera_is_one_but_for_what_is_a_jetson_s(self):
        pipeline = csi_pipeline("csi://0").replace("(memory:NVMM)", "")
        pipeline = pipeline.replace("nvarguscamerasrc sensor-id=0", "videotestsrc is-live=true")
        found = read(pipeline.replace("nvvidconv", "videoconvert"))[0]
        assert found["dtype"] == "uint8"
        assert found["shape"][2] == 3
