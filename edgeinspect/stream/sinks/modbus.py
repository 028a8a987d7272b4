"""`modbus://plc:502`: the last verdict and the counters, written into a PLC's holding registers.

The PLC is the server, we write all 32 registers in one request. Registers from the option `address`
on (0 if not given), numbers of two registers with the high word first:

    0      heartbeat, one more with each write, 65535 is followed by 0
    1      verdict: 0 no part yet, 1 OK, 2 NG, 3 NOT-INSPECTED
    2, 3   parts so far, uint32
    4, 5   score, float32; NaN where there is none
    6, 7   threshold, float32
    8, 9   OK parts, uint32;  10, 11 NG parts;  12, 13 parts NOT-INSPECTED
    14     reason of NOT-INSPECTED: 0 none, 1 unreadable, 2 size, 3 non-finite, 4 overload,
           5 deadline, 6 frozen, 7 engine, 8 blank, 99 another
    15     1 while the run goes on, 0 after its end
    16-31  verdicts of the last 16 parts: part n (from 1) is in register 16 + (n - 1) modulo 16

A PLC that polls slower than parts come finds those it missed in 16-31.
"""

from __future__ import annotations

import logging

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from edgeinspect.errors import SinkError
from edgeinspect.stream.sinks.address import LOOPBACK, Address
from edgeinspect.stream.sinks.line_state import LineState, StateSink

DataType = ModbusTcpClient.DATATYPE

__all__ = ["ModbusSink"]

PORT = 502
OPTIONS = ("address", "unit", "timeout-s")
TIMEOUT_S = 3.0
N_REGISTERS, LAST = 32, 65535


class ModbusSink(StateSink):
    """A Modbus/TCP client."""

    def __init__(self, address: Address) -> None:
        """Raises: ConfigError."""
        super().__init__()
        address.check_options(OPTIONS)
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # what it logs is raised as well
        self._where = f"{address.host or LOOPBACK}:{address.port or PORT}"
        self._client = ModbusTcpClient(
            address.host or LOOPBACK,
            port=address.port or PORT,
            timeout=address.seconds("timeout-s", TIMEOUT_S),
            retries=0,
        )
        self._start = address.whole_number("address", 0, most=LAST - N_REGISTERS + 1)
        self._unit = address.whole_number("unit", 1, most=255)

    def write(self, state: LineState) -> None:
        try:
            if not self._client.connect():
                raise SinkError(f"no PLC answers at {self._where}")
            values = _registers(state)
            answer = self._client.write_registers(self._start, values, device_id=self._unit)
        except (ModbusException, OSError) as error:
            self._client.close()
            raise SinkError(f"the PLC at {self._where} does not answer") from error
        if answer.isError():
            raise SinkError(f"the PLC at {self._where} refuses the registers: {answer}")

    def disconnect(self) -> None:
        self._client.close()


def _registers(state: LineState) -> list[int]:
    """The 32 registers, as the module's table has them."""
    n_ok, n_ng, n_not = (_uint32(n) for n in state.counts.values())
    return [
        state.heartbeat,
        state.verdict_number,
        *_uint32(state.n_parts),
        *_float32(state.score),
        *_float32(state.threshold),
        *n_ok,
        *n_ng,
        *n_not,
        state.reason_number,
        int(state.is_running),
        *state.last,
    ]


def _uint32(value: int) -> list[int]:
    return ModbusTcpClient.convert_to_registers(value % (1 << 32), DataType.UINT32)


def _float32(value: float) -> list[int]:
    return ModbusTcpClient.convert_to_registers(value, DataType.FLOAT32)
