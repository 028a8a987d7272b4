"""The other sides of sinks, for real, on loopback: each can be killed and brought back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.stream.made_records import HANGS_S, wait_until
from tests.stream.ports import free_port, is_listening


class Broker:
    """Mosquitto with a store on disk, so that what it has acknowledged survives it."""

    def __init__(self, folder: Path, *lines: str) -> None:
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
        self.port = free_port()
        self._program = program
        self._config = folder / "mosquitto.conf"
        access = lines or ("allow_anonymous true",)
        store = (f"persistence_location {folder}/", "persistence true", "user root")
        listen = f"listener {self.port} 127.0.0.1"
        self._config.write_text("\n".join([listen, *store, "max_queued_messages 0", *access]))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: is_listening(self.port))
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=HANGS_S)
            self._process = None


class Subscriber:
    """Hears everything below a topic; the broker keeps for it what comes while it is away."""

    def __init__(self, port: int, topic: str, configure: Callable[[Client], None] | None = None):
        self.heard: list[tuple[str, bytes]] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "subscriber", clean_session=False)
        if configure is not None:
            configure(self._client)
        self._client.reconnect_delay_set(0.05, 0.2)  # type: ignore[arg-type]
        self._client.on_message = self._hear
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_connect = lambda *_: self._client.subscribe(f"{topic}/#", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(HANGS_S)

    def _hear(self, client: Client, user: object, message: MQTTMessage) -> None:
        self.heard.append((message.topic, message.payload))

    def on(self, topic: str) -> list[bytes]:
        return [payload for heard, payload in list(self.heard) if heard == topic]

    def seqs(self, topic: str) -> list[int]:
        return [json.loads(payload)["seq"] for payload in self.on(topic)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class WebServer:
    """Keeps what is posted to it; `status` answers the next posts."""

    def __init__(self) -> None:
        self.port = free_port()
        self.posted: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.status: Callable[[dict[str, object]], int] = lambda plain: 204
        self.is_talkative = False  # it answers with 64 MiB, as far as somebody reads them
        self.n_answered_mib = 0
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> WebServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                plain = json.loads(body)
                status = outer.status(plain)
                if status < 300:
                    outer.posted.append(plain)
                    outer.headers.append(dict(self.headers.items()))
                self.send_response(status)
                if outer.is_talkative:
                    self._answer_at_length()
                    return
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _answer_at_length(self) -> None:
                self.close_connection = True
                self.end_headers()
                with contextlib.suppress(OSError):
                    for _ in range(64):
                        outer.n_answered_mib += self.wfile.write(bytes(1 << 20)) >> 20

            def log_message(self, *words: object) -> None: ...

        return Handler


class Plc:
    """A Modbus server of pymodbus with 64 holding registers; it forgets them when it stops."""

    def __init__(self) -> None:
        self.port = free_port()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> Plc:
        is_up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(is_up)))
        self._thread.start()
        assert is_up.wait(HANGS_S)
        return self

    async def _serve(self, is_up: threading.Event) -> None:
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        registers = SimData(0, count=64, values=0, datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(1, [registers]), address=("127.0.0.1", self.port))
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        serving = asyncio.create_task(server.serve_forever())
        while not is_listening(self.port):
            await asyncio.sleep(0.01)
        is_up.set()
        await self._stop.wait()
        await server.shutdown()
        serving.cancel()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(HANGS_S)
            self._loop = None

    def registers(self, n: int = 32) -> list[int]:
        from pymodbus.client import ModbusTcpClient

        with ModbusTcpClient("127.0.0.1", port=self.port, timeout=HANGS_S) as client:
            found: list[int] = client.read_holding_registers(0, count=n, device_id=1).registers
            return found


class OpcUaServer:
    """A server of asyncua; it forgets its values when it stops.

    `variables`: by name, each with the value that it begins with and its type; `security`: its
    certificate and key, with which it refuses whoever does not encrypt; `users`: passwords.
    """

    def __init__(
        self,
        variables: dict[str, tuple[object, str]],
        *,
        name: str = "edgeinspect",
        security: tuple[Path, Path] | None = None,
        users: dict[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self._variables = variables
        self._name = name
        self._security = security
        self._users = users
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> OpcUaServer:
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._is_up.wait(HANGS_S)
        return self

    async def _serve(self) -> None:
        from asyncua import Server, ua

        server = Server(user_manager=_Users(self._users) if self._users else None)
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}")
        policies = [ua.SecurityPolicyType.NoSecurity]
        if self._security is not None:
            policies = [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
            await server.load_certificate(self._security[0])
            await server.load_private_key(self._security[1])
        server.set_security_policy(policies)
        self.folder = await server.nodes.objects.add_object(2, self._name)
        self._nodes = {}
        for name, (value, kind) in self._variables.items():
            node = await self.folder.add_variable(2, name, value, getattr(ua.VariantType, kind))
            await node.set_writable()
            self._nodes[name] = node
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with server:
            self._is_up.set()
            await self._stop.wait()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(HANGS_S)
            self._loop = None

    def values(self) -> dict[str, object]:
        return {name: self.data_value(name).Value.Value for name in self._nodes}

    def data_value(self, name: str) -> Any:
        assert self._loop is not None, "the server is stopped"
        reading = self._nodes[name].read_data_value()
        return asyncio.run_coroutine_threadsafe(reading, self._loop).result(HANGS_S)


class _Users:
    """Lets those in whose password is right."""

    def __init__(self, passwords: dict[str, str]) -> None:
        self._passwords = passwords

    def get_user(self, server: object, username: Any = None, password: Any = None, **_: Any) -> Any:
        from asyncua.crypto.permission_rules import User, UserRole

        is_right = username is not None and self._passwords.get(username) == password
        return User(role=UserRole.User) if is_right else None
