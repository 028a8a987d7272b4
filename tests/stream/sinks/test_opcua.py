from __future__ import annotations

import asyncio
import logging
import math
from pathlib import Path

import pytest
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgeinspect.errors import ConfigError
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.sinks import open_sink, open_sinks
from tests.stream.made_records import ABOUT, HANGS_S, made_record, wait_until
from tests.stream.sinks.servers import OpcUaServer

QUICK = Patience(first_s=0.01, most_s=0.05)
ALL = {
    "heartbeat": (0, "UInt16"),
    "verdict": (0, "Int16"),
    "reason": (0, "Int16"),
    "score": (0.0, "Float"),
    "threshold": (0.0, "Double"),
    "parts": (0, "UInt32"),
    "ok_parts": (0, "UInt32"),
    "ng_parts": (0, "UInt32"),
    "not_inspected_parts": (0, "UInt32"),
    "running": (False, "Boolean"),
}


@pytest.fixture(scope="module")
def server():
    """It takes seconds to start, so that tests share it; each run begins its counters anew."""
    one = OpcUaServer(ALL).start()
    yield one
    one.stop()


def opened(server: OpcUaServer, folder: Path, options: str = "", drain_s: float = HANGS_S):
    url = f"opcua://127.0.0.1:{server.port}{options}"
    return open_sinks([url], folder=folder, about=ABOUT, patience=QUICK, drain_s=drain_s)


def test_the_variables_hold_the_last_verdict_and_the_counters(server, tmp_path):
    with opened(server, tmp_path) as sinks:
        sinks.put(made_record(0))
        sinks.put(made_record(1, Verdict.NOT_INSPECTED))
        sinks.put(made_record(2, Verdict.NG))
        wait_until(lambda: server.values()["parts"] == 3)
        found = server.values()
    assert (found["verdict"], found["reason"], found["running"]) == (2, 0, True)
    assert (found["score"], found["threshold"]) == (4.0, 2.0)
    assert [found[name] for name in ("ok_parts", "ng_parts", "not_inspected_parts")] == [1, 1, 1]


def test_a_part_without_a_score_has_nan_and_its_reason(server, tmp_path):
    with opened(server, tmp_path) as sinks:
        sinks.put(made_record(0, Verdict.NOT_INSPECTED))
        wait_until(lambda: server.values()["parts"] == 1)
        found = server.values()
    assert (found["verdict"], found["reason"]) == (3, 2)
    assert math.isnan(found["score"])


def test_the_heart_beats_between_parts_and_the_end_is_told(server, tmp_path):
    with opened(server, tmp_path):
        wait_until(lambda: server.values()["running"] is True)
        before = server.values()["heartbeat"]
        wait_until(lambda: server.values()["heartbeat"] > before)
    assert server.values()["running"] is False


def test_values_come_without_timestamps_of_ours(server, tmp_path):
    with opened(server, tmp_path):
        wait_until(lambda: server.values()["running"] is True)
        assert server.data_value("heartbeat").SourceTimestamp is None


def test_a_server_that_was_away_gets_the_counters_of_all_parts(server, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "edgeinspect"), opened(server, tmp_path) as sinks:
        for seq in range(5):
            sinks.put(made_record(seq))
        wait_until(lambda: server.values()["ok_parts"] == 5)
        server.stop()
        for seq in range(5, 30):
            sinks.put(made_record(seq, Verdict.NG))
        wait_until(lambda: sinks.states()[0].is_away)
        server.start()
        wait_until(lambda: server.values()["parts"] == 30)
        assert server.values()["ng_parts"] == 25
    assert "the OPC UA server at 127.0.0.1" in caplog.text
    assert "is back after" in caplog.text


def test_a_plcs_own_names_and_types_are_taken(tmp_path):
    names = {"Verdict": ("", "String"), "HeartBeat": (0, "Int16"), "OkParts": (0, "Byte")}
    plc = OpcUaServer(names, name="DB7").start()
    node = plc.folder.nodeid.to_string()
    with opened(plc, tmp_path, f"#node={node}") as sinks:
        for seq in range(300):
            sinks.put(made_record(seq))
    found = plc.values()
    plc.stop()
    assert (found["OkParts"], found["Verdict"]) == (300 % 256, "OK")


@pytest.mark.parametrize(
    ("variables", "name", "words"),
    [
        (ALL, "another", "it has no object edgeinspect in Objects"),
        ({"verdict": (0, "Int16")}, "edgeinspect", "has no variable heartbeat"),
        ({**ALL, "score": (0, "Int32")}, "edgeinspect", "its variable score has the type Int32"),
    ],
)
def test_a_server_without_what_is_needed_is_told_what(tmp_path, caplog, variables, name, words):
    server = OpcUaServer(variables, name=name).start()
    with opened(server, tmp_path, drain_s=0.1) as sinks:
        wait_until(lambda: sinks.states()[0].is_away)
    server.stop()
    assert words in caplog.text


def test_a_server_that_asks_who_we_are_gets_user_and_password(tmp_path, caplog, monkeypatch):
    server = OpcUaServer(ALL, users={"line": "right"}).start()
    monkeypatch.setenv("EDGEINSPECT_SINK_USERNAME", "line")
    monkeypatch.setenv("EDGEINSPECT_SINK_PASSWORD", "wrong-one")
    with opened(server, tmp_path, drain_s=0.1) as sinks:
        wait_until(lambda: sinks.states()[0].is_away)
    assert "wrong-one" not in caplog.text
    secrets = tmp_path / "secrets"
    secrets.write_text("username=line\npassword=right\n")
    with opened(server, tmp_path, f"#credentials={secrets}") as sinks:
        sinks.put(made_record(0))
        wait_until(lambda: server.values()["parts"] == 1)
    server.stop()


def test_an_encrypted_connection_trusts_one_server_alone(tmp_path, caplog):
    server_files, ours, other = (_certificate(tmp_path / n) for n in ("server", "ours", "other"))
    server = OpcUaServer(ALL, security=server_files).start()
    options = f"#certificate={ours[0]}&key={ours[1]}&server-certificate="
    with opened(server, tmp_path, options + str(other[0]), drain_s=0.1) as sinks:
        wait_until(lambda: sinks.states()[0].is_away)
    with opened(server, tmp_path, options + str(server_files[0])) as sinks:
        sinks.put(made_record(0))
        wait_until(lambda: server.values()["parts"] == 1)
    server.stop()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("#node=nonsense", "is no node's identifier"),
        ("#noode=i=5", "has no option noode; did you mean node"),
        ("#certificate=CERTIFICATE", "give all three, PEM files, or none"),
        ("#certificate=KEY&key=KEY&server-certificate=KEY", "cannot be used"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(tmp_path, options, words):
    certificate, key = _certificate(tmp_path)
    options = options.replace("CERTIFICATE", str(certificate)).replace("KEY", str(key))
    with pytest.raises(ConfigError, match=words):
        open_sink(f"opcua://plc{options}")


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="credentials=FILE") as caught:
        open_sink("opcua://line:hunter2@plc")
    assert "hunter2" not in str(caught.value)


def _certificate(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    key, der, pem = (folder / name for name in ("key.pem", "certificate.der", "certificate.pem"))
    usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    making = setup_self_signed_certificate(key, der, "urn:edgeinspect:test", "localhost", usage, {})
    asyncio.run(making)
    certificate = load_der_x509_certificate(der.read_bytes())
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    return pem, key
