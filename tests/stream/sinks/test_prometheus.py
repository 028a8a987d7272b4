from __future__ import annotations

import dataclasses
import socket

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgeinspect.runtime.inspector import Verdict
from edgeinspect.stream.sinks import Notice, NoticeKind, open_sinks
from edgeinspect.stream.sinks.runners import Patience
from tests.stream.made_records import ABOUT, made_record, wait_until
from tests.stream.sinks.servers import free_port

QUICK = Patience(first_s=0.01, most_s=0.05)


def opened(port: int, folder, about=ABOUT):
    urls = [f"prometheus://:{port}"]
    return open_sinks(urls, folder=folder, about=about, patience=QUICK)


def metrics(port: int) -> dict[tuple[str, ...], float]:
    """Values by name and the labels' values, these in the order of the labels' names."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
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
    assert found["edgeinspect_latency_seconds_sum", "infer"] == pytest.approx(0.04)
    assert found["edgeinspect_score_share_bucket", "0.5"] == 2
    assert found["edgeinspect_score_share_count",] == 3
    assert found["edgeinspect_threshold",] == 2.0
    assert found["edgeinspect_run_info", "part", "calibration-1.npz", "onnxruntime", "0.1.0"] == 1


def test_a_bundle_that_changed_is_shown_with_its_threshold(tmp_path):
    port = free_port()
    values = {"bundle": "part", "calibration": "calibration-2.npz", "runtime": "onnxruntime"}
    record = made_record(0)
    inspection = dataclasses.replace(record.inspection, threshold=3.0)
    with opened(port, tmp_path) as sinks:
        sinks.note(Notice.now(NoticeKind.BUNDLE, "the changed bundle is refused"))
        sinks.note(Notice.now(NoticeKind.BUNDLE, "parts are judged by it", values=values))
        sinks.put(dataclasses.replace(record, inspection=inspection))
        wait_until(lambda: metrics(port).get(("edgeinspect_threshold",)) == 3.0)
        info = ("edgeinspect_run_info", "part", "calibration-2.npz", "onnxruntime", "0.1.0")
        wait_until(lambda: metrics(port).get(info) == 1)


def test_queues_sinks_and_drift_are_shown(tmp_path):
    port = free_port()
    about = dataclasses.replace(ABOUT, queue_depths=lambda: {"infer": 3})
    with opened(port, tmp_path, about) as sinks:
        sinks.note(Notice.now(NoticeKind.DRIFT, "darker", values={"trait": "brightness"}))
        wait_until(lambda: metrics(port).get(("edgeinspect_drift", "brightness")) == 1)
        found = metrics(port)
    assert found["edgeinspect_queue_depth", "infer"] == 3
    assert found["edgeinspect_sink_away", f"prometheus://:{port}"] == 0
    assert found["edgeinspect_notices_total", "drift"] == 1


def test_it_listens_on_loopback_alone(tmp_path):
    port = free_port()
    with opened(port, tmp_path), socket.socket() as other:
        wait_until(lambda: metrics(port))
        other.bind(("127.0.0.2", port))  # free, which it would not be beside 0.0.0.0


def test_a_port_in_use_is_tried_again(tmp_path, caplog):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with opened(port, tmp_path) as sinks:
            wait_until(lambda: sinks.states()[0].is_away)
            other.close()
            wait_until(lambda: metrics(port))
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in caplog.text
