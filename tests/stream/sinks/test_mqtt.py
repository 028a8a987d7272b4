from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeinspect.errors import ConfigError, SinkError
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.sinks import Notice, NoticeKind, open_sink, open_sinks
from tests.stream.made_records import ABOUT, HANGS_S, made_record, wait_until, written
from tests.stream.sinks.servers import Broker, Subscriber

# paho leaves the socket of a failed handshake to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")

QUICK = Patience(first_s=0.01, most_s=0.1)


@pytest.fixture
def broker(tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    one = Broker(folder).start()
    yield one
    one.stop()


@pytest.fixture
def subscriber(broker):
    one = Subscriber(broker.port, "plant/line1")
    yield one
    one.close()


def opened(
    port: int, folder: Path, drain_s: float = HANGS_S, scheme: str = "mqtt", options: str = ""
):
    url = f"{scheme}://127.0.0.1:{port}/plant/line1{options}"
    return open_sinks([url], folder=folder, about=ABOUT, patience=QUICK, drain_s=drain_s)


def put(sinks, folder, n: int, start: int = 0) -> None:
    for seq in range(start, start + n):
        written(folder, 1, seq)
        sinks.put(made_record(seq))


def test_records_notices_and_state_have_their_topics(broker, subscriber, tmp_path):
    with opened(broker.port, tmp_path) as sinks:
        put(sinks, tmp_path, 3)
        sinks.note(Notice.now(NoticeKind.OUTAGE, "camera is away"))
    wait_until(lambda: b"ended" in subscriber.on("plant/line1/status"))
    assert subscriber.seqs("plant/line1") == [0, 1, 2]
    assert b"camera is away" in subscriber.on("plant/line1/notices")[1]
    assert subscriber.on("plant/line1/status") == [b"online", b"ended"]


def test_nothing_is_lost_while_the_broker_is_dead(broker, subscriber, tmp_path):
    with opened(broker.port, tmp_path) as sinks:
        put(sinks, tmp_path, 150)
        broker.stop()  # whatever is on its way
        put(sinks, tmp_path, 150, start=150)
        wait_until(lambda: sinks.states()[0].is_away)
        broker.start()
        wait_until(lambda: set(subscriber.seqs("plant/line1")) == set(range(300)))


def test_a_connection_that_breaks_within_a_batch_has_all_of_it_sent_again(broker):
    with contextlib.closing(open_sink(f"mqtt://127.0.0.1:{broker.port}/plant/line1")) as sink:
        sink.put({"seq": 0})
        client = sink._client  # type: ignore[attr-defined]
        client.socket().shutdown(2)
        wait_until(lambda: not client.is_connected())
        with pytest.raises(SinkError, match="broke"):  # the first may not have arrived
            sink.put({"seq": 1})
        sink.put({"seq": 0})


def test_the_first_record_of_a_new_connection_is_waited_for_as_well(broker):
    with contextlib.closing(open_sink(f"mqtt://127.0.0.1:{broker.port}/plant/line1")) as sink:
        sink.put({"seq": 0})
        assert len(sink._sent) == 1  # type: ignore[attr-defined]


def test_a_run_that_ended_without_its_broker_delivers_in_the_next(broker, tmp_path):
    broker.stop()
    with opened(broker.port, tmp_path, drain_s=0.1) as sinks:
        put(sinks, tmp_path, 4)
    broker.start()
    subscriber = Subscriber(broker.port, "plant/line1")
    with opened(broker.port, tmp_path) as sinks:
        put(sinks, tmp_path, 1, start=4)
    wait_until(lambda: subscriber.seqs("plant/line1") == [0, 1, 2, 3, 4])
    subscriber.close()


def test_the_last_will_says_that_a_run_died(broker, subscriber, tmp_path):
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/plant/line1")
    sink.open(ABOUT)
    wait_until(lambda: b"online" in subscriber.on("plant/line1/status"))
    socket = sink._client.socket()  # type: ignore[attr-defined]
    socket.shutdown(2)  # as a process that is killed leaves it
    wait_until(lambda: b"offline" in subscriber.on("plant/line1/status"))
    sink.close()


def test_a_broker_that_refuses_us_is_named_without_the_password(tmp_path, monkeypatch, caplog):
    guarded = Broker(tmp_path, "allow_anonymous false", f"password_file {tmp_path / 'users'}")
    users = shutil.which("mosquitto_passwd", path=os.environ["PATH"])
    assert users is not None, "mosquitto comes with mosquitto_passwd"
    subprocess.run([users, "-b", "-c", str(tmp_path / "users"), "line", "right"], check=True)
    guarded.start()
    monkeypatch.setenv("EDGEINSPECT_SINK_USERNAME", "line")
    monkeypatch.setenv("EDGEINSPECT_SINK_PASSWORD", "wrong-one")
    with opened(guarded.port, tmp_path, drain_s=0.2) as sinks:
        wait_until(lambda: sinks.states()[0].is_away)
    assert "refuses us: Not authorized" in caplog.text
    assert "wrong-one" not in caplog.text
    monkeypatch.setenv("EDGEINSPECT_SINK_PASSWORD", "right")
    with opened(guarded.port, tmp_path) as sinks:
        put(sinks, tmp_path, 1)
    assert sinks.states()[0].n_waiting == 0
    guarded.stop()


def test_tls_trusts_only_the_authority_it_is_given(tmp_path, caplog):
    key, certificate = _certificate(tmp_path)
    lines = (f"cafile {certificate}", f"certfile {certificate}", f"keyfile {key}")
    guarded = Broker(tmp_path, "allow_anonymous true", *lines).start()
    with opened(guarded.port, tmp_path, drain_s=0.2, scheme="mqtts") as sinks:
        put(sinks, tmp_path, 1)
        wait_until(lambda: sinks.states()[0].is_away)
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
    with opened(guarded.port, tmp_path, scheme="mqtts", options=f"#ca={certificate}") as sinks:
        put(sinks, tmp_path, 1)
    assert sinks.states()[0].n_waiting == 0
    guarded.stop()


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="credentials=FILE") as caught:
        open_sink("mqtt://line:hunter2@broker/topic")
    assert "hunter2" not in str(caught.value)


def test_a_topic_with_a_wildcard_is_refused():
    with pytest.raises(ConfigError, match="holds a wildcard"):
        open_sink("mqtt://broker/plant/+")


def _certificate(folder: Path) -> tuple[Path, Path]:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    name = ["-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*words.split(), *name, *files], check=True, capture_output=True)
    return key, certificate
