"""The live page for people beside the line: `run --view 127.0.0.1:8080`.

    state.py    what the page shows, kept by two sinks: one of all records, one of some pictures
    server.py   a web server on a thread of its own; what it sends is made once for all viewers
    page/       the page itself: HTML, style and script, as they are

It can only be looked at. A viewer that is slow, or gone, gets less, and costs the line nothing.
"""

from __future__ import annotations

from edgeinspect.stream.view.server import View, check_view, open_view

__all__ = ["View", "check_view", "open_view"]
