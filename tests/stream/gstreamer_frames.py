"""For a Python whose OpenCV has GStreamer (Debian's): what sources make of pipelines.

    /usr/bin/python3 tests/stream/gstreamer_frames.py N PIPELINE...

Prints a JSON line for each: names of N frames, shape, type and values of the first, and the kinds
of notices between them; or the error.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from edgeinspect.errors import EdgeInspectError
from edgeinspect.stream.frames import Frame
from edgeinspect.stream.notices import Notice
from edgeinspect.stream.sources import open_source


def read(pipeline: str, n_frames: int) -> dict[str, Any]:
    frames: list[Frame] = []
    kinds: list[str] = []
    stop = threading.Event()
    try:
        for item in open_source(f"gst:{pipeline}").frames(stop):
            if isinstance(item, Notice):
                kinds.append(item.kind.value)
                continue
            frames.append(item)
            if len(frames) == n_frames:
                stop.set()
    except EdgeInspectError as error:
        return {"error": str(error)}
    picture = frames[0].picture
    assert picture is not None
    return {
        "names": [frame.source for frame in frames],
        "shape": picture.shape,
        "dtype": str(picture.dtype),
        "values": [int(picture.min()), int(picture.max())],
        "notices": kinds,
    }


if __name__ == "__main__":
    for one in sys.argv[2:]:
        print(json.dumps(read(one, int(sys.argv[1]))), flush=True)
