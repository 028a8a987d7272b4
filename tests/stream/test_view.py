"""The live page: what people see, that it can only be looked at, and that viewers cost nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from edgeinspect.errors import ConfigError
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.stream.pictures import PictureStore
from edgeinspect.stream.records import RecordFolder, prepare_record_folder
from edgeinspect.stream.sinks import Notice, NoticeKind, Sinks, open_sinks
from edgeinspect.stream.view import View, open_view, server
from tests.stream.made_records import ABOUT, HANGS_S, made_record, wait_until
from tests.stream.ports import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Page

N_VIEWERS, N_PARTS = 100, 2000
N_TAKEN = 500  # parts between two looks whether the page keeps up
SLOWEST_PUT_S = 10.0  # on a busy machine; one that waited for a viewer would take for ever
PART = {"anomaly_map": np.zeros((64, 64), np.float32), "map_level": 1.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare_record_folder(tmp_path / "out", force=False, saves_pictures=True).path


@pytest.fixture
def served(folder: Path) -> Iterator[tuple[View, Sinks]]:
    with open_view("127.0.0.1:0", folder) as view, _fed(view, folder) as sinks:
        yield view, sinks


def _fed(view: View, folder: Path):
    others, pictures = [("view", view.state)], [("view", view.pictures)]
    return open_sinks(
        [], folder=folder, about=ABOUT, others=others, pictures=pictures, drain_s=HANGS_S
    )


def newest(view: View) -> dict:
    """The first event that a new viewer gets."""
    url = view.url + "events"
    with httpx.stream("GET", url, trust_env=False, timeout=HANGS_S) as response:
        line = next(line for line in response.iter_lines() if line.startswith("data: {"))
    return json.loads(line.removeprefix("data: "))


def get(view: View, path: str = "", **keys) -> httpx.Response:
    return httpx.get(view.url + path, trust_env=False, timeout=HANGS_S, **keys)


@pytest.fixture
def page() -> Iterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(1e3 * HANGS_S)
        yield page
        browser.close()


def test_chromium_shows_verdict_counters_ng_parts_and_outages(served, folder, page):
    view, sinks = served
    store = PictureStore(RecordFolder(folder))
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(view.url)
    page.wait_for_selector("text=waiting for the first part")
    sinks.put(made_record(0))
    page.wait_for_selector("body[data-verdict=OK]")
    sinks.put(store.save(made_record(1, Verdict.NG, **PART)))
    sinks.note(Notice.now(NoticeKind.OUTAGE, "<b>camera</b> is lost", source="right"))
    page.wait_for_selector("body[data-verdict=NG]")
    page.wait_for_selector("#picture:not([hidden])")
    page.wait_for_selector("text=/NG, 2.00 . the limit, 1_bad.png/")
    page.wait_for_selector("text=<b>camera</b> is lost")
    word = page.locator("#word")
    assert word.inner_text() == "NG"
    assert word.bounding_box()["height"] > 0.3 * 800  # letters for three metres
    assert [page.inner_text(f"#n-{name}") for name in ("ok", "ng", "not")] == ["1", "1", "0"]
    assert page.locator("#ng img").evaluate("image => image.decode().then(() => true)")
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height <= 800  # nobody scrolls a page on a wall
    assert complaints == []


def test_a_verdict_is_not_shown_as_the_newest_while_its_camera_is_lost(served):
    view, sinks = served
    sinks.put(made_record(0))
    sinks.note(Notice.now(NoticeKind.OUTAGE, "the camera is lost"))
    wait_until(lambda: newest(view)["is_last_lost"])
    assert newest(view)["lost"] == ["the source"]
    sinks.note(Notice.now(NoticeKind.RECOVERED, "the camera is back", seconds=3.0))
    wait_until(lambda: not newest(view)["is_last_lost"])


def test_a_lost_camera_leaves_the_verdict_of_another_alone(served):
    view, sinks = served
    sinks.note(Notice.now(NoticeKind.OUTAGE, "left is lost", source="left"))
    sinks.put(made_record(0))
    wait_until(lambda: newest(view)["last"] is not None and newest(view)["lost"] == ["left"])
    assert not newest(view)["is_last_lost"]


def test_a_page_whose_server_is_gone_says_so(folder, page):
    with open_view("127.0.0.1:0", folder) as view:
        page.goto(view.url)
        page.wait_for_selector("text=waiting for the first part")
    page.wait_for_selector("text=NO CONNECTION TO THE LINE")


def _show_ng(page: Page, folder: Path, sinks: Sinks, seq: int) -> set[str | None]:
    """Have the page show an NG part; the addresses of its pictures."""
    sinks.put(PictureStore(RecordFolder(folder)).save(made_record(seq, Verdict.NG, **PART)))
    page.wait_for_selector(f"figcaption:has-text('{seq}_bad.png')")
    return {page.get_attribute(image, "src") for image in ("#picture", "#ng img")}


def test_a_page_goes_on_with_the_next_run_though_it_was_refused_meanwhile(folder, page):
    address = f"127.0.0.1:{free_port()}"
    with (
        page.expect_response(lambda answer: answer.status == 503),
        open_view(address, folder) as view,
        _fed(view, folder) as sinks,
    ):
        page.goto(view.url)
        before = _show_ng(page, folder, sinks, 0)
        page.route("**/events", lambda route: route.fulfill(status=503))
    page.unroute("**/events")
    with open_view(address, folder) as view, _fed(view, folder) as sinks:
        after = _show_ng(page, folder, sinks, 1)
    assert not before & after  # a browser keeps pictures by their addresses


def test_a_new_viewer_gets_the_newest_state_at_once(served):
    view, sinks = served
    for seq in range(50):
        sinks.put(made_record(seq))
    dropped = made_record(50, Verdict.NOT_INSPECTED)
    late = dataclasses.replace(dropped.latency, total=9000.0)
    sinks.put(dataclasses.replace(dropped, latency=late))
    wait_until(lambda: newest(view)["counts"] == {"OK": 50, "NG": 0, "NOT-INSPECTED": 1})
    state = newest(view)
    assert state["last"]["seq"] == 50
    assert state["latency_ms"] == {"p50": 20.0, "p99": 20.0}


def test_a_hundred_viewers_that_do_not_read_slow_nobody(served):
    view, sinks = served
    viewers = [_deaf_viewer(_port(view)) for _ in range(N_VIEWERS)]
    slowest_s = 0.0
    for seq in range(N_PARTS):
        record = made_record(seq)
        start = time.perf_counter()
        sinks.put(record)
        slowest_s = max(slowest_s, time.perf_counter() - start)
        if seq % N_TAKEN == 0:  # what the page has not taken yet is dropped beyond its queue
            wait_until(lambda: json.loads(view.state.to_json())["counts"]["OK"] > seq)  # noqa: B023
    assert slowest_s < SLOWEST_PUT_S
    wait_until(lambda: newest(view)["counts"]["OK"] == N_PARTS)
    for viewer in viewers:
        viewer.close()


def _port(view: View) -> int:
    return int(view.url.rsplit(":", 1)[1].strip("/"))


def _deaf_viewer(port: int) -> socket.socket:
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    viewer.connect(("127.0.0.1", port))
    viewer.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return viewer


def _asks_nothing(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=HANGS_S)


def test_who_asks_nothing_is_let_go(folder, monkeypatch):
    monkeypatch.setattr(server, "IDLE_S", 0)
    with open_view("127.0.0.1:0", folder) as view, _asks_nothing(_port(view)) as silent:
        assert silent.recv(1) == b""


def test_one_connection_too_many_is_closed_before_it_asks(folder, monkeypatch):
    monkeypatch.setattr(server, "N_CONNECTIONS", 3)
    monkeypatch.setattr(server, "IDLE_S", 10 * HANGS_S)
    with open_view("127.0.0.1:0", folder) as view, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(_asks_nothing(_port(view)))
        assert stack.enter_context(_asks_nothing(_port(view))).recv(1) == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_can_only_be_looked_at(served, method):
    answer = httpx.request(method, served[0].url, trust_env=False, timeout=HANGS_S)
    assert answer.status_code == 405


def test_only_the_last_ng_parts_have_pictures(served):
    assert get(served[0], "ng/1.jpg").status_code == 404
    assert get(served[0], "ng/..%2f..%2frecords.jsonl").status_code == 404


def test_another_sites_name_is_refused_on_loopback(served):
    answer = get(served[0], headers={"Host": "evil.example"})
    assert answer.status_code == 400


def test_any_address_of_loopback_needs_no_token(folder):
    with open_view("127.0.0.2:0", folder) as view:
        assert get(view).status_code == 200


def test_beyond_loopback_a_token_is_asked_for_and_becomes_a_cookie(folder):
    with open_view("0.0.0.0:0", folder) as view:
        url = view.url.replace("0.0.0.0", "127.0.0.1")
        token = (folder / "view.token").read_text().strip()
        assert (folder / "view.token").stat().st_mode & 0o077 == 0
        assert httpx.get(url, trust_env=False, timeout=HANGS_S).status_code == 401
        assert httpx.get(url + "?token=wrong", trust_env=False, timeout=HANGS_S).status_code == 401
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=HANGS_S) as client:
            assert client.get(f"{url}?token={token}").status_code == 200
            assert client.get(url + "view.js").status_code == 200


def test_a_token_file_that_is_empty_lets_nobody_in(folder):
    (folder / "view.token").touch()
    with open_view("0.0.0.0:0", folder) as view:
        url = view.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(url + "?token=", trust_env=False, timeout=HANGS_S).status_code == 401


def test_the_token_may_come_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv("EDGEINSPECT_VIEW_TOKEN", "known")
    with open_view("0.0.0.0:0", folder) as view:
        url = view.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(url + "?token=known", trust_env=False, timeout=HANGS_S).status_code == 307
    assert not (folder / "view.token").exists()


def test_a_port_in_use_is_refused_before_the_run(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            open_view(f"127.0.0.1:{port}", folder).__enter__()


def test_an_address_without_a_port_is_refused(folder):
    with pytest.raises(ConfigError, match=r"has no port; such as 127\.0\.0\.1:8080"):
        open_view("localhost", folder).__enter__()
