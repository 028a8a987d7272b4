from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pytest

from edgeinspect.bundle import read_bundle
from edgeinspect.errors import ConfigError, MissingPackageError
from edgeinspect.stream import drift_watch
from edgeinspect.stream.drift import WINDOW
from edgeinspect.stream.notices import Notice, NoticeKind
from edgeinspect.stream.outlets import open_outlets
from tests.bundles import make_bundle
from tests.stream.made_records import ABOUT, HANGS_S, made_record, wait_until


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle"))).require_calibration()


def ignore(notice: Notice) -> None: ...


def test_a_run_without_sinks_still_keeps_its_notices(tmp_path, calibration):
    with open_outlets(tmp_path, ABOUT, calibration, note=ignore) as outlets:
        outlets.put(made_record(0))
    lines = (tmp_path / "notices.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["started", "ended"]


def test_every_record_reaches_the_page(tmp_path, calibration, monkeypatch):
    from edgeinspect.stream.view.state import ViewState

    states: list[ViewState] = []
    opened = ViewState.open
    monkeypatch.setattr(
        ViewState, "open", lambda self, about: (states.append(self), opened(self, about))[1]
    )
    with open_outlets(tmp_path, ABOUT, calibration, note=ignore, view="127.0.0.1:0") as outlets:
        for seq in range(200):
            outlets.put(made_record(seq))
        wait_until(lambda: states and json.loads(states[0].to_json())["counts"]["OK"] == 200)


def test_drift_is_handed_to_the_run_for_the_records(tmp_path, calibration, monkeypatch):
    monkeypatch.setattr(drift_watch, "LEAVE_S", HANGS_S)
    many = dataclasses.replace(
        calibration,
        good_scores=np.linspace(0.0, 0.1, 50),
        good_local=np.linspace(0.0, 0.1, 50),
        good_global=np.linspace(0.0, 0.1, 50),
        good_names=tuple(map(str, range(50))),
        good_appearance=np.zeros((0, 3)),
        threshold=dataclasses.replace(calibration.threshold, value=2.0),
    )
    told: list[Notice] = []
    with open_outlets(tmp_path, ABOUT, many, note=told.append) as outlets:
        outlets.begin()
        for seq in range(2 * WINDOW):
            outlets.put(made_record(seq, score=1.5))
    assert [notice.kind for notice in told] == [NoticeKind.UNWATCHED, NoticeKind.DRIFT]
    ended = json.loads((tmp_path / "notices.jsonl").read_text().splitlines()[-1])
    assert ended["values"] == {"n_scores_watched": 2 * WINDOW, "n_pictures_watched": 0}


def test_a_wrong_address_stops_the_run_before_it_starts(tmp_path, calibration):
    with pytest.raises(ConfigError, match="no sink is called carrier://"):
        open_outlets(
            tmp_path, ABOUT, calibration, note=ignore, urls=["carrier://pigeon"]
        ).__enter__()


def test_the_page_names_its_extra_where_the_server_is_missing(tmp_path, calibration, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for name in [name for name in sys.modules if name.startswith("edgeinspect.stream.view")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingPackageError, match=r"--view needs .*edgeinspect\[stream\]"):
        open_outlets(tmp_path, ABOUT, calibration, note=ignore, view="127.0.0.1:0").__enter__()
