from __future__ import annotations

import contextlib
import dataclasses
import math
import socket
import struct
import threading

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgeinspect.runtime.inspection import Verdict
from edgeinspect.stream.judge import Judge
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.sinks import Notice, NoticeKind, open_sinks, scrape_server
from tests.stream.made_records import ABOUT, HANGS_S, JUDGE, made_record, wait_until
from tests.stream.ports import free_port, is_listening

QUICK = Patience(first_s=0.01, most_s=0.05)


def opened(port: int, folder, about=ABOUT):
    urls = [f"prometheus://:{port}"]
    return open_sinks(urls, folder=folder, about=about, patience=QUICK)


def get(port: int) -> str:
    url = f"http://127.0.0.1:{port}/metrics"
    return httpx.get(url, trust_env=False, timeout=HANGS_S).text


def metrics(port: int) -> dict[tuple[str, ...], float]:
    """Values by name and the labels' values, these in the order of the labels' names."""
    try:
        text = get(port)
    except httpx.TransportError:
        return {}
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_parts_are_counted_by_verdict_and_reason(tmp_path):
    port = free_port()
    with opened(port, tmp_path) as sinks:
        for seq, verdict in enumerate([Verdict.OK, Verdict.NG, Verdict.OK, Verdict.NOT_INSPECTED]):
            sinks.put(made_record(seq, verdict))
        ok = ("edgeinspect_parts_total", "", "OK")
        wait_until(lambda: metrics(port).get(("edgeinspect_parts_total", "size", "NOT-INSPECTED")))
        found = metrics(port)
    assert found[ok] == 2
    assert found["edgeinspect_parts_total", "", "NG"] == 1
    assert found["edgeinspect_latency_seconds_sum", "infer"] == pytest.approx(0.03)
    assert found["edgeinspect_latency_seconds_count", "total"] == 3  # of those that were judged
    assert found["edgeinspect_score_share_bucket", "0.5"] == 2
    assert found["edgeinspect_score_share_count",] == 3
    assert found["edgeinspect_threshold",] == 2.0
    assert info(JUDGE) in found


def info(judge: Judge) -> tuple[str, ...]:
    labels = {**judge.to_plain(), "version": "0.1.0"}
    return ("edgeinspect_run_info", *(labels[name] for name in sorted(labels)))


def test_the_hash_of_the_bundle_and_the_fingerprint_of_the_engine_are_shown(tmp_path):
    port = free_port()
    judge = dataclasses.replace(JUDGE, runtime="tensorrt", precision="fp16", engine="00ff00ff")
    with opened(port, tmp_path, dataclasses.replace(ABOUT, judge=judge)):
        wait_until(lambda: info(judge) in metrics(port))
        text = get(port)
    assert 'bundle_hash="0123456789ab"' in text
    assert 'engine="00ff00ff"' in text
    assert 'precision="fp16"' in text


def test_a_bundle_that_changed_takes_the_place_of_the_old_one(tmp_path):
    port = free_port()
    new = dataclasses.replace(JUDGE, bundle_hash="ba9876543210", calibration="calibration-2.npz")
    record = made_record(0)
    inspection = dataclasses.replace(record.inspection, threshold=3.0)
    with opened(port, tmp_path) as sinks:
        sinks.note(Notice.now(NoticeKind.BUNDLE, "the changed bundle is refused"))
        sinks.note(Notice.now(NoticeKind.BUNDLE, "judged by it", values=new.to_plain()))
        sinks.put(dataclasses.replace(record, inspection=inspection))
        wait_until(lambda: metrics(port).get(("edgeinspect_threshold",)) == 3.0)
        wait_until(lambda: info(new) in metrics(port))
        names = [key for key in metrics(port) if key[0] == "edgeinspect_run_info"]
    assert names == [info(new)]


def test_a_session_that_was_opened_again_may_have_another_engine(tmp_path):
    port = free_port()
    new = dataclasses.replace(JUDGE, runtime="tensorrt", engine="00ff00ff")
    with opened(port, tmp_path) as sinks:
        sinks.note(Notice.now(NoticeKind.ENGINE, "a batch failed"))
        sinks.note(Notice.now(NoticeKind.ENGINE, "opened again", values=new.to_plain()))
        wait_until(lambda: info(new) in metrics(port))


def test_drift_is_over_with_the_bundle_that_it_was_told_of(tmp_path):
    port = free_port()
    with opened(port, tmp_path) as sinks:
        sinks.note(Notice.now(NoticeKind.DRIFT, "darker", values={"trait": "brightness"}))
        wait_until(lambda: ("edgeinspect_drift", "brightness") in metrics(port))
        sinks.note(Notice.now(NoticeKind.BUNDLE, "judged by it", values=JUDGE.to_plain()))
        wait_until(lambda: ("edgeinspect_drift", "brightness") not in metrics(port))


def test_a_source_that_is_lost_or_stands_still_is_shown_until_that_is_over(tmp_path):
    port = free_port()
    told = [
        (NoticeKind.FROZEN, None, {"lost": 0, "frozen": 1}),
        (NoticeKind.OUTAGE, None, {"lost": 1, "frozen": 1}),
        (NoticeKind.RECOVERED, 30.0, {"lost": 0, "frozen": 1}),
        (NoticeKind.RECOVERED, 40.0, {"lost": 0, "frozen": 0}),
    ]
    with opened(port, tmp_path) as sinks:
        wait_until(lambda: metrics(port).get(("edgeinspect_source_lost", "camera")) == 0)
        for kind, seconds, wanted in told:
            sinks.note(Notice.now(kind, "camera", source="camera", seconds=seconds))
            wanted = {(f"edgeinspect_source_{n}", "camera"): v for n, v in wanted.items()}
            wait_until(lambda: wanted.items() <= metrics(port).items())  # noqa: B023
        found = metrics(port)
    assert found["edgeinspect_outage_seconds_total", "camera"] == 30.0


def test_queues_sinks_and_drift_are_shown(tmp_path):
    port = free_port()
    watched = {"score": 7, "picture": 5}
    about = dataclasses.replace(ABOUT, queue_depths=lambda: {"infer": 3}, n_watched=lambda: watched)
    with opened(port, tmp_path, about) as sinks:
        sinks.note(Notice.now(NoticeKind.DRIFT, "darker", values={"trait": "brightness"}))
        wait_until(lambda: metrics(port).get(("edgeinspect_drift", "brightness")) == 1)
        found = metrics(port)
    assert found["edgeinspect_queue_depth", "infer"] == 3
    assert found["edgeinspect_drift_watched_total", "picture"] == 5
    assert found["edgeinspect_sink_away", f"prometheus://:{port}"] == 0
    assert found["edgeinspect_notices_total", "drift"] == 1


def test_it_listens_on_loopback_alone(tmp_path):
    port = free_port()
    with opened(port, tmp_path), socket.socket() as other:
        wait_until(lambda: metrics(port))
        other.bind(("127.0.0.2", port))  # free, which it would not be beside 0.0.0.0


def test_a_port_in_use_is_tried_again(tmp_path, caplog):
    with socket.socket() as other:
        port = free_port()
        other.bind(("127.0.0.1", port))
        other.listen()
        with opened(port, tmp_path) as sinks:
            wait_until(lambda: sinks.states()[0].is_away)
            other.close()
            wait_until(lambda: metrics(port))
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in caplog.text


def test_notices_of_a_third_partys_source_leave_the_figures_sound(tmp_path):
    port = free_port()
    with opened(port, tmp_path) as sinks:
        sinks.note(Notice.now(NoticeKind.DRIFT, "of its own"))
        sinks.note(Notice.now(NoticeKind.BUNDLE, "of its own", values={"size": 3}))
        sinks.note(Notice.now(NoticeKind.OUTAGE, "gone", seconds=math.nan))
        sinks.note(Notice.now(NoticeKind.OUTAGE, "gone", seconds=-3.0))
        wait_until(lambda: metrics(port).get(("edgeinspect_notices_total", "outage")) == 2)
        found = metrics(port)
    assert found["edgeinspect_outage_seconds_total", ""] == 0
    assert info(JUDGE) in found


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=HANGS_S)


def nobody_is_served() -> bool:
    """Whether the threads of all connections so far have ended, and their places are free."""
    return not any("request" in thread.name for thread in threading.enumerate())


def test_who_leaves_in_the_middle_is_no_matter_for_the_log(tmp_path, capfd):
    port = free_port()
    with opened(port, tmp_path):
        wait_until(lambda: metrics(port))
        with connected(port) as rude:
            rude.sendall(b"GET /met")
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(nobody_is_served)
    assert capfd.readouterr().err == ""


def test_who_asks_nothing_is_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr(scrape_server._Request, "timeout", 0.01)
    port = free_port()
    with opened(port, tmp_path):
        wait_until(lambda: is_listening(port))
        with connected(port) as silent:
            assert silent.recv(1) == b""


def test_one_connection_too_many_is_closed_and_those_who_ask_later_are_answered(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(scrape_server, "N_CONNECTIONS", 3)
    port = free_port()
    with opened(port, tmp_path):
        wait_until(lambda: metrics(port))
        wait_until(nobody_is_served)
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(connected(port))
            assert stack.enter_context(connected(port)).recv(1) == b""
        wait_until(lambda: metrics(port))
