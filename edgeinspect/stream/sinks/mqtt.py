"""`mqtt://host:port/topic`, `mqtts://` with TLS: records to a broker, with QoS 1.

    TOPIC           each record, as in records.jsonl
    TOPIC/notices   outages, drift and the like
    TOPIC/status    retained: "online", "ended", or the last will "offline"

A record counts as delivered when the broker has acknowledged it; those that were on the way when
the connection broke are sent again, so that one may arrive twice, and none is lost.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edgeinspect.errors import ConfigError, SinkError
from edgeinspect.stream.sinks.address import LOOPBACK, Address
from edgeinspect.stream.sinks.sink import Notice, PlainRecord, RunInfo, Sink
from edgeinspect.stream.sinks.tls import tls_context

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["MqttSink"]

OPTIONS = ("credentials", "ca", "certificate", "key", "timeout-s")
PORT, TLS_PORT = 1883, 8883
KEEPALIVE_S = 15  # the broker tells the last will after one and a half of it
TIMEOUT_S = 10.0
QOS = 1


class MqttSink(Sink):
    """One connection to a broker, made anew whenever it broke."""

    is_durable = True
    batch = 100

    def __init__(self, address: Address) -> None:
        """Raises: ConfigError."""
        address.check_options(OPTIONS)
        self._host = address.host or LOOPBACK
        self._port = address.port or (TLS_PORT if address.scheme == "mqtts" else PORT)
        self._topic = address.path or "edgeinspect"
        if set("+#") & set(self._topic):
            raise ConfigError(
                f"the topic {self._topic} holds a wildcard", hint="name one topic, such as line1"
            )
        self._timeout_s = address.seconds("timeout-s", TIMEOUT_S)
        self._credentials = address.credentials()
        self._tls = tls_context(address) if address.scheme == "mqtts" else None
        self._client: Client | None = None
        self._sent: list[MQTTMessageInfo] = []

    def open(self, about: RunInfo) -> None:
        self._connected()

    def put(self, record: PlainRecord) -> None:
        info = self._publish(self._topic, _json(record))  # may make the connection anew
        self._sent.append(info)

    def flush(self) -> None:
        end = time.monotonic() + self._timeout_s
        sent, self._sent = self._sent, []
        for info in sent:
            self._await(info, end)

    def note(self, notice: Notice) -> None:
        info = self._publish(f"{self._topic}/notices", _json(notice.to_plain()))
        self._await(info, time.monotonic() + self._timeout_s)

    def tick(self) -> None:
        self._connected()

    def close(self) -> None:
        if self._client is not None and self._client.is_connected():
            info = self._client.publish(self._status, "ended", QOS, retain=True)
            with contextlib.suppress(SinkError):
                self._await(info, time.monotonic() + 1.0)
        self._disconnect()

    @property
    def _status(self) -> str:
        return f"{self._topic}/status"

    def _publish(self, topic: str, payload: bytes) -> MQTTMessageInfo:
        info = self._connected().publish(topic, payload, QOS)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._disconnect()
            raise SinkError(f"the broker at {self._host}:{self._port} does not take messages")
        return info

    def _await(self, info: MQTTMessageInfo, end: float) -> None:
        """Until the broker has acknowledged; a connection that broke is not waited for."""
        assert self._client is not None, "a message is awaited that was not sent"
        while not info.is_published():
            if time.monotonic() >= end or not self._client.is_connected():
                self._disconnect()
                where = f"{self._host}:{self._port}"
                raise SinkError(f"the broker at {where} does not acknowledge what it is sent")
            info.wait_for_publish(0.2)

    def _connected(self) -> Client:
        if self._client is not None and self._client.is_connected():
            return self._client
        is_any_on_its_way = bool(self._sent)
        self._disconnect()
        if is_any_on_its_way:  # it would count as delivered with what follows
            raise SinkError(f"the connection to the broker at {self._host}:{self._port} broke")
        client, answer = self._new_client()
        try:
            client.connect(self._host, self._port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            raise SinkError(f"no broker at {self._host}:{self._port} ({error})") from error
        client.loop_start()
        self._client = client
        answer.await_welcome(self._timeout_s, f"{self._host}:{self._port}", self._disconnect)
        client.publish(self._status, "online", QOS, retain=True)
        return client

    def _new_client(self) -> tuple[Client, _Answer]:
        client = Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        client.connect_timeout = self._timeout_s
        client.will_set(self._status, "offline", QOS, retain=True)
        known = self._credentials
        if known.username is not None:
            client.username_pw_set(known.username, known.password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        answer = _Answer()
        client.on_connect = answer.on_connect
        return client, answer

    def _disconnect(self) -> None:
        client, self._client, self._sent = self._client, None, []
        if client is not None:
            client.disconnect()
            client.loop_stop()


class _Answer:
    """What the broker says to a connection."""

    def __init__(self) -> None:
        self._has_come = threading.Event()
        self._refusal: str | None = None

    def on_connect(
        self, client: Client, user: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        self._refusal = str(reason) if reason.is_failure else None
        self._has_come.set()

    def await_welcome(self, timeout_s: float, where: str, give_up: Any) -> None:
        has_come = self._has_come.wait(timeout_s)
        if has_come and self._refusal is None:
            return
        give_up()
        what = f"refuses us: {self._refusal}" if has_come else "does not answer"
        raise SinkError(f"the broker at {where} {what}")


def _json(plain: PlainRecord) -> bytes:
    return json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()
