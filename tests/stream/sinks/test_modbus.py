from __future__ import annotations

import logging
import math
import socket

import pytest
from pymodbus.client import ModbusTcpClient

from edgeinspect.runtime.inspection import Verdict
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.sinks import open_sinks
from edgeinspect.stream.sinks.modbus import DataType
from tests.stream.made_records import ABOUT, HANGS_S, made_record, wait_until
from tests.stream.sinks.servers import Plc

QUICK = Patience(first_s=0.01, most_s=0.05)


@pytest.fixture
def plc():
    one = Plc().start()
    yield one
    one.stop()


@pytest.fixture
def opened(plc, tmp_path):
    url = f"modbus://127.0.0.1:{plc.port}"
    return lambda: open_sinks([url], folder=tmp_path, about=ABOUT, patience=QUICK, drain_s=HANGS_S)


def number(registers: list[int], at: int, kind: DataType = DataType.UINT32) -> float:
    return ModbusTcpClient.convert_from_registers(registers[at : at + 2], kind)


def test_the_registers_hold_the_last_verdict_and_the_counters(opened, plc):
    with opened() as sinks:
        sinks.put(made_record(0))
        sinks.put(made_record(1, Verdict.NOT_INSPECTED))
        sinks.put(made_record(2, Verdict.NG))
        wait_until(lambda: number(plc.registers(), 2) == 3)
        found = plc.registers()
    assert found[1] == 2
    assert number(found, 4, DataType.FLOAT32) == 4.0
    assert number(found, 6, DataType.FLOAT32) == 2.0
    assert [number(found, at) for at in (8, 10, 12)] == [1, 1, 1]
    assert found[14:20] == [0, 1, 1, 3, 2, 0]


def test_a_part_without_a_score_has_nan_and_its_reason(opened, plc):
    with opened() as sinks:
        sinks.put(made_record(0, Verdict.NOT_INSPECTED))
        wait_until(lambda: plc.registers()[1] == 3)
        found = plc.registers()
    assert math.isnan(number(found, 4, DataType.FLOAT32))
    assert found[14] == 2


def test_the_heart_beats_between_parts_and_the_end_is_told(opened, plc):
    with opened():
        wait_until(lambda: plc.registers()[0] >= 2)
        assert plc.registers()[15] == 1
    assert plc.registers()[15] == 0


def test_a_plc_that_was_away_gets_the_counters_of_all_parts(opened, plc, caplog):
    with caplog.at_level(logging.INFO, "edgeinspect"), opened() as sinks:
        for seq in range(5):
            sinks.put(made_record(seq))
        wait_until(lambda: number(plc.registers(), 8) == 5)
        plc.stop()
        for seq in range(5, 30):
            sinks.put(made_record(seq, Verdict.NG))
        wait_until(lambda: sinks.states()[0].is_away)
        plc.start()
        wait_until(lambda: number(plc.registers(), 2) == 30)
        assert number(plc.registers(), 10) == 25
        assert plc.registers()[16:] == [2] * 16
    assert "no PLC answers" in caplog.text or "does not answer" in caplog.text
    assert "is back after" in caplog.text


def test_a_plc_that_does_not_answer_is_told_by_us_alone(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"modbus://127.0.0.1:{port}#timeout-s=0.05"
        heard: list[logging.LogRecord] = []
        handler = logging.Handler()
        handler.emit = heard.append  # type: ignore[method-assign]
        logging.getLogger("pymodbus").addHandler(handler)
        try:
            with open_sinks(
                [url], folder=tmp_path, about=ABOUT, patience=QUICK, drain_s=0.0
            ) as all:
                wait_until(lambda: all.states()[0].is_away)
        finally:
            logging.getLogger("pymodbus").removeHandler(handler)
    assert heard == []
