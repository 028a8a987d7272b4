"""A real RTSP server (GStreamer's), run by the system's Python: rtsp_server.py PORT.

Serves moving noise at rtsp://127.0.0.1:PORT/line and prints `ready`.
"""

from __future__ import annotations

import sys

import gi  # of the system, not of the environment

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 (after the versions)

PIPELINE = (
    "( videotestsrc is-live=true pattern=snow"
    " ! video/x-raw,format=I420,width=128,height=128,framerate=20/1"
    " ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(PIPELINE)
factory.set_shared(True)
server.get_mount_points().add_factory("/line", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
