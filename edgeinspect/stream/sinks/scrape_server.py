"""The web server that Prometheus fetches figures from; whoever connects costs the line nothing.

Each connection has a thread, and one of the files that the run may have open. So there are few at
a time, and one that asks nothing is closed.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["N_CONNECTIONS", "ScrapeServer"]

_log = logging.getLogger(__name__)

N_CONNECTIONS = 16
ASK_S = 10.0  # how long one may take to ask, and to read the answer


class ScrapeServer(ThreadingMixIn, WSGIServer):
    """Serves an application on a thread of its own, from `start` to `stop`."""

    daemon_threads = True

    def __init__(self, host: str, port: int, application: WSGIApplication) -> None:
        """Raises: OSError if it cannot listen there."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, *_, address = found[0]
        super().__init__(address[:2], _Request)  # type: ignore[arg-type]  # of IPv6 it has more
        self.set_app(application)
        self._places = threading.BoundedSemaphore(N_CONNECTIONS)
        self._thread = threading.Thread(target=self.serve_forever, name="scrapes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, or turn it away."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Somebody left, or asked nothing: no matter for the log of the run."""
        _log.debug("a connection of %s failed", client_address, exc_info=True)


class _Request(WSGIRequestHandler):
    """One connection, which has one request."""

    timeout = ASK_S

    def log_message(self, format: str, *args: Any) -> None: ...

    def get_stderr(self) -> io.StringIO:  # it is written to, no more
        return io.StringIO()
