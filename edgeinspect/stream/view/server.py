"""The web server of the live page, on a thread of its own; a page, its events, and pictures.

What viewers are sent is made once and shared; each gets the newest state when it is ready for it,
and none of those before. So a slow viewer holds nothing but its own connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeinspect.errors import ConfigError
from edgeinspect.stream.view.state import PartPictures, ViewState
from edgeinspect.writing import output_errors

__all__ = ["TOKEN_FILE", "TOKEN_VARIABLE", "View", "check_view", "open_view"]

_log = logging.getLogger(__name__)

TOKEN_VARIABLE = "EDGEINSPECT_VIEW_TOKEN"
TOKEN_FILE = "view.token"
COOKIE = "edgeinspect_view"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
N_CONNECTIONS = 256  # at most; others are turned away
BACKLOG = 128  # taken at once, before one too many is closed
IDLE_S = 5  # a connection that asks nothing
SEND_S = 0.25  # between two states; the page says so when none has come for seconds
STOP_S = 2.0
DEAD_MS = 20_000
FILES = {"/view.css": ("view.css", "text/css"), "/view.js": ("view.js", "text/javascript")}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A page that is being served: `state` takes records, `pictures` whole ones."""

    url: str
    state: ViewState
    pictures: PartPictures


@contextlib.contextmanager
def open_view(address: str, folder: Path) -> Iterator[View]:
    """Serve the page of a run at HOST:PORT while the `with` lasts.

    Where HOST is not loopback, a token is asked for: that of the environment, else one that is
    written to `folder/view.token`.
    Raises: ConfigError if the address is none or cannot be listened on; OutputError.
    """
    host, port = _host_and_port(address)
    token = None if _is_loopback(host) else _token(folder)
    listener = _listen(host, port)
    state = ViewState(folder)
    view = View(
        url=f"http://{_shown(host)}:{listener.getsockname()[1]}/",
        state=state,
        pictures=PartPictures(state),
    )
    config = uvicorn.Config(
        _application(state, token, names={*LOOPBACK, _shown(host)} if token is None else {"*"}),
        log_config=None,
        access_log=False,
        log_level=logging.CRITICAL,  # a viewer's trouble is not the run's
        http=_Connection,
        backlog=BACKLOG,
        limit_concurrency=N_CONNECTIONS,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="view", daemon=True)
    thread.start()
    _log.info("live page: %s", view.url)
    try:
        yield view
    finally:
        server.should_exit = server.force_exit = True
        thread.join(STOP_S)
        listener.close()


def check_view(address: str) -> None:
    """Raises: ConfigError if the address is none or cannot be listened on."""
    _listen(*_host_and_port(address)).close()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"--view {address} has no port", hint="such as 127.0.0.1:8080")
    return host, int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=N_CONNECTIONS)
    except OSError as error:
        raise ConfigError(
            f"the live page cannot listen on {host}:{port}: {error.strerror}",
            hint="choose another port for --view",
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # viewers that died leave room for others
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_MS)
    return listener


def _token(folder: Path) -> str:
    """What viewers have to know; kept so that their bookmarks stay good after a restart."""
    given = os.environ.get(TOKEN_VARIABLE)
    if given:
        return given
    path = folder / TOKEN_FILE
    with output_errors(path):
        token = path.read_text().strip() if path.exists() else ""
        if not token:  # a full disk may have left an empty file
            token = secrets.token_urlsafe(16)
            path.touch(mode=0o600)
            path.write_text(token + "\n")
    _log.info("the live page asks for the token in %s, as ?token=...", path)
    return token


def _application(state: ViewState, token: str | None, names: Collection[str]) -> Starlette:
    """`names`: what viewers may call this host; another page's script calls it by another name."""
    feed = _Feed(state)

    async def part(request: Request) -> Response:
        picture = state.picture
        if picture is None:
            return Response(status_code=404)
        return Response(picture, media_type="image/jpeg")

    async def ng_part(request: Request) -> Response:
        path = await asyncio.to_thread(state.ng_picture, request.path_params["key"])
        return Response(status_code=404) if path is None else FileResponse(path)

    async def events(request: Request) -> Response:
        return StreamingResponse(feed.events(), media_type="text/event-stream")

    async def page(request: Request) -> Response:
        return Response(_file("view.html"), media_type="text/html")

    files = [
        Route(address, _sender(_file(name), media_type))
        for address, (name, media_type) in FILES.items()
    ]
    return Starlette(
        routes=[
            Route("/", page),
            Route("/events", events),
            Route("/part.jpg", part),
            Route("/ng/{key:int}.jpg", ng_part),
            *files,
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(names)),
            Middleware(_Guard, token=token),
        ],
        lifespan=feed.lifespan,
    )


def _file(name: str) -> bytes:
    return resources.files("edgeinspect.stream.view").joinpath("page").joinpath(name).read_bytes()


def _sender(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return send


class _Connection(H11Protocol):
    """Of a viewer: one too many, or one that asks nothing, is closed.

    Each takes one of the files that the run may have open, and needs for pictures.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > N_CONNECTIONS:
            transport.close()
            return
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )


class _Guard:
    """Asks for the token, once as `?token=`, then as a cookie; adds headers to every answer."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer: ASGIApp | None = None
        if scope["type"] == "http" and self._token is not None:
            answer = _refusal(Request(scope), self._token)
        await (answer or self._app)(scope, receive, send_with_headers)


def _refusal(request: Request, token: str) -> Response | None:
    """What someone gets who has not shown the token yet; None if they have."""
    if _is_same(request.cookies.get(COOKIE), token):
        return None
    if not _is_same(request.query_params.get("token"), token):
        return Response("add ?token=... to the address", status_code=401, media_type="text/plain")
    response = RedirectResponse("/")
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
    return response


def _is_same(given: str | None, token: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), token.encode())


class _Feed:
    """The newest state as an event, made a few times a second for all viewers together."""

    def __init__(self, state: ViewState) -> None:
        self._state = state
        self._event = b""
        self._changed: asyncio.Event | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, application: Starlette) -> AsyncIterator[None]:
        self._changed = asyncio.Event()
        task = asyncio.create_task(self._publish())
        try:
            yield
        finally:
            task.cancel()

    async def events(self) -> AsyncIterator[bytes]:
        """For one viewer: what is newest each time it has taken the one before."""
        while True:
            yield self._event
            assert self._changed is not None, "events are asked for while the server runs"
            await self._changed.wait()

    async def _publish(self) -> None:
        while True:
            self._event = f"data: {self._state.to_json()}\n\n".encode()
            assert self._changed is not None
            before, self._changed = self._changed, asyncio.Event()
            before.set()
            await asyncio.sleep(SEND_S)
