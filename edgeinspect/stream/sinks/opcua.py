"""`opcua://plc:4840`: the last verdict and the counters, written into variables of a server.

The PLC is the server, as with Modbus. Variables are looked for by their names below one node, the
object `edgeinspect` in Objects or the one that the option `node` names, and written in the order of
`FIELDS`, all in one request. Upper and lower case and `_` make no difference (`OkParts` is
`ok_parts`); `verdict` and `heartbeat` must be there, others may be missing. Each is written in the
type that it has; `verdict` and `reason` as words where that is String, else as the numbers that
Modbus has. No timestamps are sent: many PLCs refuse values that have some.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.node import Node
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.uaerrors import UaError
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edgeinspect.errors import ConfigError, SinkError
from edgeinspect.stream.sinks.address import LOOPBACK, Address
from edgeinspect.stream.sinks.line_state import LineState, StateSink

__all__ = ["FIELDS", "OpcUaSink"]

PORT = 4840
OPTIONS = ("node", "credentials", "certificate", "key", "server-certificate", "timeout-s")
TIMEOUT_S = 3.0
OBJECT = "edgeinspect"
NEEDED = ("verdict", "heartbeat")
# `parts` and `heartbeat` come last: who acts on their change finds the others written.
FIELDS: MappingProxyType[str, Callable[[LineState], tuple[float, str]]] = MappingProxyType(
    {
        "running": lambda state: (state.is_running, str(state.is_running)),
        "threshold": lambda state: _plain(state.threshold),
        "score": lambda state: _plain(state.score),
        "verdict": lambda state: (state.verdict_number, state.verdict),
        "reason": lambda state: (state.reason_number, state.reason),
        "ok_parts": lambda state: _plain(state.counts["OK"]),
        "ng_parts": lambda state: _plain(state.counts["NG"]),
        "not_inspected_parts": lambda state: _plain(state.counts["NOT-INSPECTED"]),
        "parts": lambda state: _plain(state.n_parts),
        "heartbeat": lambda state: _plain(state.heartbeat),
    }
)
REAL = ("score", "threshold")  # which no integer can hold
Type = ua.VariantType
N_VALUES = MappingProxyType(  # of integers that are not negative; counters begin anew after them
    {
        Type.SByte: 1 << 7,
        Type.Byte: 1 << 8,
        Type.Int16: 1 << 15,
        Type.UInt16: 1 << 16,
        Type.Int32: 1 << 31,
        Type.UInt32: 1 << 32,
        Type.Int64: 1 << 63,
        Type.UInt64: 1 << 64,
    }
)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variable:
    """One of `FIELDS` on the server, in the server's type."""

    field: str
    node: Node
    type: ua.VariantType

    def value(self, state: LineState) -> ua.DataValue:
        number, word = FIELDS[self.field](state)
        found: object = word
        if self.type in N_VALUES:
            found = int(number) % N_VALUES[self.type]
        elif self.type in (Type.Float, Type.Double):
            found = float(number)
        elif self.type is Type.Boolean:
            found = bool(number)
        return ua.DataValue(ua.Variant(found, self.type))

    def check(self) -> None:
        """Raises: SinkError if its type cannot hold what belongs there."""
        integers = () if self.field in REAL else (*N_VALUES, Type.Boolean)
        if self.type not in (Type.String, Type.Float, Type.Double, *integers):
            raise SinkError(f"its variable {self.field} has the type {self.type.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Security:
    """PEM files: who we are, and the server that we trust."""

    certificate: Path
    key: Path
    server: Path
    application_uri: str


class OpcUaSink(StateSink):
    """An OPC UA client; its event loop runs on the sink's thread, while it writes."""

    def __init__(self, address: Address) -> None:
        """Raises: ConfigError."""
        super().__init__()
        address.check_options(OPTIONS)
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # what it logs is raised as well
        self._where = f"{address.host or LOOPBACK}:{address.port or PORT}"
        self._url = f"opc.tcp://{self._where}/{address.path}"
        self._node = _read_node(address)
        self._timeout_s = address.seconds("timeout-s", TIMEOUT_S)
        self._credentials = address.credentials()
        self._security = _read_security(address)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Client | None = None
        self._variables: Sequence[_Variable] = ()

    def write(self, state: LineState) -> None:
        try:
            self._run(self._write_all(state))
        except (UaError, OSError, asyncio.TimeoutError, SinkError) as error:
            self._run(self._leave())
            why = str(error) or type(error).__name__
            raise SinkError(f"the OPC UA server at {self._where}: {why}") from error

    def disconnect(self) -> None:
        self._run(self._leave())
        if self._loop is not None:
            self._loop.close()

    def _run(self, action: Coroutine[Any, Any, ResultT]) -> ResultT:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(action)

    async def _write_all(self, state: LineState) -> None:
        if self._client is None:
            self._client = await self._connected()
            self._variables = await self._find_variables(self._client)
        values = [variable.value(state) for variable in self._variables]
        await self._client.write_values([one.node for one in self._variables], values)

    async def _connected(self) -> Client:
        client = Client(self._url, timeout=self._timeout_s)
        client.name = client.description = "edgeinspect"
        if self._credentials.username is not None:
            client.set_user(self._credentials.username)
            client.set_password(self._credentials.password or "")
        if self._security is not None:
            client.application_uri = self._security.application_uri
            await client.set_security(
                SecurityPolicyBasic256Sha256,
                self._security.certificate,
                self._security.key,
                server_certificate=str(self._security.server),
            )
        await client.connect()
        return client

    async def _find_variables(self, client: Client) -> list[_Variable]:
        """Those of `FIELDS` that the server has. Raises: SinkError, if it lacks what it needs."""
        parent = client.nodes.objects if self._node is None else client.get_node(self._node)
        if self._node is None:
            objects = await _children(client, parent, ua.NodeClass.Object)
            if OBJECT not in objects:
                raise SinkError(f"it has no object {OBJECT} in Objects; name one with #node=ID")
            parent = objects[OBJECT]
        there = await _children(client, parent, ua.NodeClass.Variable)
        lacking = [name for name in NEEDED if _same(name) not in there]
        if lacking:
            raise SinkError(f"{parent.nodeid.to_string()} has no variable {', '.join(lacking)}")
        found = [(name, there[_same(name)]) for name in FIELDS if _same(name) in there]
        variables = [
            _Variable(field=name, node=node, type=await node.read_data_type_as_variant_type())
            for name, node in found
        ]
        for variable in variables:
            variable.check()
        return variables

    async def _leave(self) -> None:
        """Close the connection as far as it still stands."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(UaError, OSError, asyncio.TimeoutError):
                await client.disconnect()


async def _children(client: Client, parent: Node, kind: ua.NodeClass) -> dict[str, Node]:
    """By their names, as `_same` makes them."""
    found = await parent.get_children_descriptions(nodeclassmask=kind)
    return {_same(str(one.BrowseName.Name)): client.get_node(one.NodeId) for one in found}


def _same(name: str) -> str:
    return name.replace("_", "").lower()


def _plain(value: float) -> tuple[float, str]:
    return value, str(value)


def _read_node(address: Address) -> ua.NodeId | None:
    text = address.options.get("node")
    if text is None:
        return None
    try:
        return ua.NodeId.from_string(text)
    except UaError as error:
        what = f"the node {text} of the sink {address.name} is no node's identifier"
        raise ConfigError(what, hint='it looks like ns=3;s="edgeinspect" or ns=2;i=5') from error


def _read_security(address: Address) -> _Security | None:
    """From the options `certificate`, `key` and `server-certificate`: all, or none of them."""
    names = ("certificate", "key", "server-certificate")
    certificate, key, server = (address.file(name) for name in names)
    if certificate is None and key is None and server is None:
        return None
    if certificate is None or key is None or server is None:
        what = f"the sink {address.name} has some of {', '.join(names)}"
        raise ConfigError(what, hint="give all three, PEM files, or none")
    try:
        load_pem_private_key(key.read_bytes(), None)
        x509.load_pem_x509_certificate(server.read_bytes())
        ours = x509.load_pem_x509_certificate(certificate.read_bytes())
        names_of_ours = ours.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uri = names_of_ours.get_values_for_type(x509.UniformResourceIdentifier)[0]
    except (ValueError, TypeError, OSError, x509.ExtensionNotFound, IndexError) as error:
        raise ConfigError(
            f"the certificates of the sink {address.name} cannot be used: {error}",
            hint="they are PEM files, the key has no password, ours has its application's URI",
        ) from error
    return _Security(certificate=certificate, key=key, server=server, application_uri=uri)
