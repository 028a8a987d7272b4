"""Sources: where frames come from, one after the other, each a picture or what is wrong with it.

files.py     pictures: a file, a folder, a glob, paths on standard input
video.py     the frames of a video file
live.py      cameras and network streams: outages
frozen.py    pictures that a source repeats
captures.py  what of them OpenCV opens
gstreamer.py pipelines of GStreamer, CSI cameras of a Jetson
watching.py  a folder that a camera program drops files into
opening.py   which of them a word on the command line means
"""

from __future__ import annotations

from edgeinspect.stream.sources.files import PictureSource
from edgeinspect.stream.sources.opening import SourceContext, open_source, open_sources
from edgeinspect.stream.sources.video import VideoSource

__all__ = [
    "PictureSource",
    "SourceContext",
    "VideoSource",
    "open_source",
    "open_sources",
]
