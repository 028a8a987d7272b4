from __future__ import annotations

import base64
import contextlib

import pytest

from edgeinspect.errors import ConfigError
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.sinks import Notice, NoticeKind, open_sink, open_sinks
from tests.stream.made_records import ABOUT, HANGS_S, made_record, wait_until, written
from tests.stream.sinks.servers import WebServer

QUICK = Patience(first_s=0.01, most_s=0.05)


@pytest.fixture
def server():
    one = WebServer().start()
    yield one
    one.stop()


@pytest.fixture
def opened(server, tmp_path):
    def open_with(options: str = ""):
        url = f"http://127.0.0.1:{server.port}/hook?key=hidden{options}"
        return open_sinks([url], folder=tmp_path, about=ABOUT, patience=QUICK, drain_s=HANGS_S)

    return open_with


def put(sinks, folder, n: int, start: int = 0) -> None:
    for seq in range(start, start + n):
        written(folder, 1, seq)
        sinks.put(made_record(seq))


def seqs(server: WebServer) -> list[object]:
    return [plain["seq"] for plain in server.posted if "seq" in plain]


def test_each_record_is_posted_as_it_stands_in_the_file(opened, server, tmp_path):
    with opened() as sinks:
        put(sinks, tmp_path, 3)
    assert seqs(server) == [0, 1, 2]
    assert [p["verdict"] for p in server.posted if "seq" in p] == ["OK"] * 3
    keys = [headers["Idempotency-Key"] for headers in server.headers]
    assert len(set(keys)) == len(server.posted)


def test_parts_of_two_cameras_that_one_trigger_fired_have_keys_of_their_own(server):
    at = {"time": "2026-01-02T03:04:05.678+00:00", "seq": 0}
    with contextlib.closing(open_sink(f"http://127.0.0.1:{server.port}/")) as sink:
        for stream in ("links", "rückseite"):
            sink.put({**at, "stream": stream})
    keys = [headers["Idempotency-Key"] for headers in server.headers]
    assert len(set(keys)) == len(keys) == 2


def test_nothing_is_lost_while_the_server_is_dead(opened, server, tmp_path):
    with opened() as sinks:
        put(sinks, tmp_path, 20)
        server.stop()
        put(sinks, tmp_path, 20, start=20)
        wait_until(lambda: sinks.states()[0].is_away)
        server.start()
    assert seqs(server) == list(range(40))


def test_a_server_in_trouble_gets_the_same_record_again(opened, server, tmp_path):
    answers = iter([503, 429])
    server.status = lambda plain: next(answers, 204)
    with opened() as sinks:
        put(sinks, tmp_path, 2)
    assert seqs(server) == [0, 1]


def test_a_long_answer_is_not_read_to_its_end(opened, server, tmp_path):
    server.is_talkative, server.status = True, lambda plain: 200
    with opened() as sinks:
        put(sinks, tmp_path, 3)
    assert seqs(server) == [0, 1, 2]
    assert server.n_answered_mib < 3 * 32


def test_a_record_that_is_refused_does_not_block_the_next(opened, server, tmp_path, caplog):
    server.status = lambda plain: 422 if plain.get("seq") == 1 else 204
    with opened() as sinks:
        put(sinks, tmp_path, 3)
    assert seqs(server) == [0, 2]
    assert "with 422" in caplog.text


def test_notices_are_posted_too(opened, server):
    with opened() as sinks:
        sinks.note(Notice.now(NoticeKind.DRIFT, "darker", values={"trait": "score"}))
    assert [plain["kind"] for plain in server.posted] == ["started", "drift", "ended"]


def test_credentials_come_from_a_file_and_appear_nowhere(opened, server, tmp_path, caplog):
    secret = tmp_path / "secret"
    secret.write_text("# of the hook\nusername=line\npassword=hunter2\n")
    caplog.set_level("DEBUG")
    with opened(f"#credentials={secret}") as sinks:
        put(sinks, tmp_path, 1)
        server.stop()
        put(sinks, tmp_path, 1, start=1)
        wait_until(lambda: sinks.states()[0].is_away)
        server.start()
    token = base64.b64encode(b"line:hunter2").decode()
    assert server.headers[0]["Authorization"] == f"Basic {token}"
    kept = "".join(p.read_text() + p.name for p in tmp_path.rglob("*.json*"))
    assert "hunter2" not in caplog.text + kept
    assert "hidden" not in caplog.text + kept


def test_credentials_that_are_no_text_are_refused_without_a_word_of_them(tmp_path):
    (tmp_path / "secret").write_bytes(b"password=\xff\n")
    with pytest.raises(ConfigError, match=r"cannot read credentials from .*secret"):
        open_sink(f"http://host/#credentials={tmp_path / 'secret'}")


def test_a_token_comes_from_the_environment(opened, server, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEINSPECT_SINK_TOKEN", "t0ken")
    with opened() as sinks:
        put(sinks, tmp_path, 1)
    assert server.headers[0]["Authorization"] == "Bearer t0ken"


def test_an_unknown_option_is_refused():
    with pytest.raises(ConfigError, match=r"no option credential; did you mean credentials\?"):
        open_sink("http://host/#credential=x")
