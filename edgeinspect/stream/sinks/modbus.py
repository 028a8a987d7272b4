"""`modbus://plc:502`: the last verdict and the counters, written into a PLC's holding registers.

The PLC is the server, we write all 32 registers in one request after each part, and once a second
between parts. Registers from the option `address` on (0 if not given), numbers of two registers
with the high word first:

    0      heartbeat, one more with each write, 65535 is followed by 0
    1      verdict: 0 no part yet, 1 OK, 2 NG, 3 NOT-INSPECTED
    2, 3   parts so far, uint32
    4, 5   score, float32; NaN where there is none
    6, 7   threshold, float32
    8, 9   OK parts, uint32;  10, 11 NG parts;  12, 13 parts NOT-INSPECTED
    14     reason of NOT-INSPECTED: 0 none, 1 unreadable, 2 size, 3 non-finite, 99 another
    15     1 while the run goes on, 0 after its end
    16-31  verdicts of the last 16 parts: part n (from 1) is in register 16 + (n - 1) modulo 16

A PLC that polls slower than parts come finds those it missed in 16-31; what was not judged at all
is never reported as OK. While the PLC is away the run goes on counting; it gets the newest state
when it is back.
"""

from __future__ import annotations

import contextlib
import math
from types import MappingProxyType

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from edgeinspect.errors import SinkError
from edgeinspect.stream.sinks.address import LOOPBACK, Address
from edgeinspect.stream.sinks.sink import PlainRecord, RunInfo, Sink

DataType = ModbusTcpClient.DATATYPE

__all__ = ["N_REGISTERS", "REASONS", "VERDICTS", "ModbusSink"]

PORT = 502
OPTIONS = ("address", "unit", "timeout-s")
TIMEOUT_S = 3.0
N_REGISTERS, N_LAST = 32, 16
CATCH_UP = 1024  # records that are counted at once while the PLC is away
VERDICTS = MappingProxyType({"OK": 1, "NG": 2, "NOT-INSPECTED": 3})
REASONS = MappingProxyType({"unreadable": 1, "size": 2, "non-finite": 3})
OTHER_REASON = 99


class ModbusSink(Sink):
    """A Modbus/TCP client that keeps the state and writes all of it."""

    def __init__(self, address: Address) -> None:
        """Raises: ConfigError."""
        address.check_options(OPTIONS)
        self._where = f"{address.host or LOOPBACK}:{address.port or PORT}"
        self._client = ModbusTcpClient(
            address.host or LOOPBACK,
            port=address.port or PORT,
            timeout=address.number("timeout-s", TIMEOUT_S),
            retries=0,
        )
        self._start = int(address.number("address", 0))
        self._unit = int(address.number("unit", 1))
        self._heartbeat = 0
        self._counts = dict.fromkeys(VERDICTS, 0)
        self._last = [0] * N_LAST
        self._verdict = self._reason = self._n_parts = 0
        self._score = math.nan
        self._threshold = math.nan

    def open(self, about: RunInfo) -> None:
        self._threshold = about.threshold
        self._write(is_running=True)

    def put(self, record: PlainRecord) -> None:
        self._verdict = VERDICTS[record["verdict"]]
        reason = record["reason"]
        self._reason = 0 if reason is None else REASONS.get(reason, OTHER_REASON)
        score = record["score"]
        self._score = math.nan if score is None else score
        self._threshold = record["threshold"]
        self._counts[record["verdict"]] += 1
        self._last[self._n_parts % N_LAST] = self._verdict
        self._n_parts += 1

    def flush(self) -> None:
        try:
            self._write(is_running=True)
        except SinkError:
            self.batch = CATCH_UP  # count what comes, the state is written when the PLC is back
            raise
        self.batch = 1

    def tick(self) -> None:
        self.flush()

    def close(self) -> None:
        with contextlib.suppress(SinkError):
            self._write(is_running=False)
        self._client.close()

    def _write(self, *, is_running: bool) -> None:
        self._heartbeat = (self._heartbeat + 1) % (1 << 16)
        try:
            if not self._client.connect():
                raise SinkError(f"no PLC answers at {self._where}")
            values = self._registers(is_running=is_running)
            answer = self._client.write_registers(self._start, values, device_id=self._unit)
        except (ModbusException, OSError) as error:
            self._client.close()
            raise SinkError(f"the PLC at {self._where} does not answer") from error
        if answer.isError():
            raise SinkError(f"the PLC at {self._where} refuses the registers: {answer}")

    def _registers(self, *, is_running: bool) -> list[int]:
        """The 32 registers, as the module's table has them."""
        n_ok, n_ng, n_not = (_uint32(n) for n in self._counts.values())
        return [
            self._heartbeat,
            self._verdict,
            *_uint32(self._n_parts),
            *_float32(self._score),
            *_float32(self._threshold),
            *n_ok,
            *n_ng,
            *n_not,
            self._reason,
            int(is_running),
            *self._last,
        ]


def _uint32(value: int) -> list[int]:
    return ModbusTcpClient.convert_to_registers(value % (1 << 32), DataType.UINT32)


def _float32(value: float) -> list[int]:
    return ModbusTcpClient.convert_to_registers(value, DataType.FLOAT32)
