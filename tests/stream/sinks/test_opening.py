"""Sinks as a run sees them: whatever a sink does, the line goes on and nothing is lost unseen."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeinspect.errors import ConfigError, MissingPackageError, SinkError
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.sinks import Notice, NoticeKind, PlainRecord, Sink, Sinks, open_sinks
from edgeinspect.stream.sinks import opening as opening_module
from edgeinspect.stream.sinks.journal import Journal, Line
from edgeinspect.stream.sinks.notices import NoticeFile
from edgeinspect.stream.sinks.opening import open_sink
from edgeinspect.writing import LineFile
from tests.stream.made_records import ABOUT, HANGS_S, made_record, wait_until, written

QUICK = Patience(first_s=0.001, most_s=0.01)


class Kept(Sink):
    """Keeps what it is given; `fails` says whether a call fails now."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.notices: list[Notice] = []
        self.is_closed = False
        self.fails: Callable[[], bool] = lambda: False

    def put(self, record: PlainRecord) -> None:
        if self.fails():
            raise SinkError("nobody listens")
        self.seqs.append(record["seq"])

    def note(self, notice: Notice) -> None:
        self.notices.append(notice)

    def close(self) -> None:
        self.is_closed = True


class DurableKept(Kept):
    is_durable = True


@pytest.fixture
def opened(monkeypatch, tmp_path):
    @contextmanager
    def with_sink(sink: Sink, drain_s: float = HANGS_S) -> Iterator[Sinks]:
        monkeypatch.setattr(opening_module, "_make", lambda address: sink)
        urls = ["kept://there"]
        with open_sinks(
            urls, folder=tmp_path, about=ABOUT, patience=QUICK, drain_s=drain_s
        ) as sinks:
            yield sinks

    return with_sink


def put(sinks: Sinks, folder: Path, n: int, start: int = 0) -> None:
    for seq in range(start, start + n):
        written(folder, 1, seq)
        sinks.put(made_record(seq))


@pytest.mark.parametrize("kind", [Kept, DurableKept])
def test_every_record_arrives_in_order(opened, tmp_path, kind):
    sink = kind()
    with opened(sink) as sinks:
        put(sinks, tmp_path, 50)
    assert sink.seqs == list(range(50))
    assert sink.is_closed


@pytest.mark.parametrize("kind", [Kept, DurableKept])
def test_a_sink_that_is_away_gets_its_records_when_it_is_back(opened, tmp_path, kind, caplog):
    sink = kind()
    is_away = threading.Event()
    is_away.set()
    sink.fails = is_away.is_set
    with caplog.at_level(logging.INFO, "edgeinspect"), opened(sink) as sinks:
        put(sinks, tmp_path, 5)
        wait_until(lambda: sinks.states()[0].is_away)
        is_away.clear()
    assert sink.seqs == list(range(5))
    told = [r.getMessage() for r in caplog.records]
    assert sum("is away: nobody listens" in text for text in told) == 1
    assert sum("is back" in text for text in told) == 1


def test_a_durable_sink_goes_on_after_the_run_was_ended(opened, tmp_path, caplog):
    first, second = DurableKept(), DurableKept()
    first.fails = lambda: len(first.seqs) == 3
    with opened(first, drain_s=0.05) as sinks:
        put(sinks, tmp_path, 10)
        wait_until(lambda: sinks.states()[0].is_away)
    assert "7 records have not reached kept://there" in caplog.text
    with opened(second) as sinks:
        put(sinks, tmp_path, 2, start=10)
    assert first.seqs + second.seqs == list(range(12))


def test_a_record_whose_flush_failed_is_put_again(opened, tmp_path):
    class Flushed(DurableKept):
        batch = 4
        n_flushes = 0

        def flush(self) -> None:
            self.n_flushes += 1
            if self.n_flushes == 1:
                raise SinkError("no acknowledgement")

    sink = Flushed()
    written(tmp_path, 4)
    with opened(sink):
        pass
    assert sink.seqs == [0, 1, 2, 3, 0, 1, 2, 3]


def test_half_a_line_waits_for_its_rest(opened, tmp_path):
    sink = DurableKept()
    line = made_record(0).to_line()
    with opened(sink) as sinks, (tmp_path / "records.jsonl").open("w") as file:
        file.write(line[:30])
        file.flush()
        sinks.put(made_record(0))
        file.write(line[30:])
    assert sink.seqs == [0]


def test_a_sink_that_hangs_slows_nobody_and_its_drops_are_counted(opened, tmp_path, caplog):
    is_let_go = threading.Event()

    class Hanging(Kept):
        def put(self, record: PlainRecord) -> None:
            is_let_go.wait()

    with opened(Hanging(), drain_s=0.01) as sinks:
        for seq in range(3000):  # would never end if one of them waited for the sink
            sinks.put(made_record(seq))
        assert sinks.states()[0].n_dropped >= 3000 - 1025
        assert sinks.states()[0].n_waiting <= 1024
    is_let_go.set()
    assert "is too slow" in caplog.text


@pytest.mark.parametrize("kind", [Kept, DurableKept])
def test_a_sink_with_a_bug_ends_and_the_run_does_not(opened, tmp_path, kind, caplog):
    class Buggy(kind):  # type: ignore[valid-type, misc]
        def put(self, record: PlainRecord) -> None:
            raise ZeroDivisionError("a bug")

    sink, told = Buggy(), tmp_path / "notices.jsonl"
    with opened(sink) as sinks:
        put(sinks, tmp_path, 3)
        wait_until(lambda: told.exists() and "has ended" in told.read_text())
        assert sinks.states()[0].is_away
    assert "has ended: ZeroDivisionError: a bug" in caplog.text
    assert sink.is_closed
    notices = [json.loads(line) for line in told.read_text().splitlines()]
    texts = [notice["text"] for notice in notices if notice["kind"] == "sink"]
    assert texts == ["the sink kept://there has ended: ZeroDivisionError: a bug"]


def test_what_happens_to_a_sink_at_the_end_of_the_run_stands_in_the_notices(
    opened, tmp_path, monkeypatch
):
    close, is_closed = NoticeFile.close, threading.Event()
    monkeypatch.setattr(NoticeFile, "close", lambda self: (close(self), is_closed.set())[0])

    class Buggy(Kept):
        def note(self, notice: Notice) -> None:
            if notice.kind is NoticeKind.ENDED:
                is_closed.wait(0.2)  # a file that does not wait is closed by then
                raise ZeroDivisionError("a bug")

    with opened(Buggy()):
        pass
    lines = [json.loads(line) for line in (tmp_path / "notices.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["started", "ended", "sink"]


def test_notices_reach_the_sink_and_the_file(opened, tmp_path):
    sink = Kept()
    with opened(sink) as sinks:
        sinks.note(Notice.now(NoticeKind.OUTAGE, "camera is away", source="camera"))
    kinds = [NoticeKind.STARTED, NoticeKind.OUTAGE, NoticeKind.ENDED]
    assert [notice.kind for notice in sink.notices] == kinds
    lines = [json.loads(line) for line in (tmp_path / "notices.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == kinds
    assert lines[0]["values"]["bundle"] == "part"
    assert lines[1]["source"] == "camera"


def test_notices_that_a_full_disk_does_not_take_come_later(opened, tmp_path, monkeypatch):
    append, n_tries = LineFile.append, []

    def append_at_the_third_try(file: LineFile, line: bytes, **keys: bool) -> None:
        n_tries.append(line)
        if len(n_tries) < 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(file, line, **keys)

    monkeypatch.setattr(LineFile, "append", append_at_the_third_try)
    with opened(Kept()):
        pass
    lines = (tmp_path / "notices.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["started", "ended"]


def test_an_unknown_scheme_is_refused_with_the_near_one():
    with pytest.raises(ConfigError, match=r"no sink is called mqqt://; did you mean mqtt\?"):
        open_sink("mqqt://broker/line")


def test_a_missing_package_names_the_extra(monkeypatch):
    def missing(name: str) -> object:
        raise ModuleNotFoundError("no", name="paho.mqtt")

    monkeypatch.setattr(opening_module.importlib, "import_module", missing)
    with pytest.raises(MissingPackageError, match=r"needs the package paho.*edgeinspect\[stream\]"):
        open_sink("mqtt://broker/line")


def test_a_third_partys_sink_is_found_by_its_entry_point(monkeypatch):
    class Theirs(Sink):
        def __init__(self, address: object) -> None:
            self.address = address

    class Point:
        names = ("theirs",)

        def __getitem__(self, name: str) -> Point:
            return self

        def load(self) -> type[Sink]:
            return Theirs

    monkeypatch.setattr(opening_module.importlib.metadata, "entry_points", lambda group: Point())
    assert isinstance(open_sink("theirs://there"), Theirs)


def test_a_durable_sink_gets_what_comes_after_the_records_were_removed(opened, tmp_path):
    sink = DurableKept()
    with opened(sink) as sinks:
        put(sinks, tmp_path, 5)
        wait_until(lambda: len(sink.seqs) == 5)
        (tmp_path / "records.jsonl").unlink()
        put(sinks, tmp_path, 2, start=5)
    assert sink.seqs == list(range(7))


def seqs(lines: list[Line]) -> list[int]:
    return [line.record["seq"] for line in lines if line.record is not None]


def test_a_place_in_a_file_that_is_gone_is_not_taken_for_one_in_the_next(tmp_path):
    records, place = tmp_path / "records.jsonl", tmp_path / "sinks" / "mqtt.json"
    written(tmp_path, 3)
    journal = Journal(records, place)
    journal.commit(journal.read(2))
    records.unlink()
    assert Journal(records, place).read(1) == []  # and its sink is away all the time
    written(tmp_path, 3, start=5)
    assert seqs(Journal(records, place).read(9)) == [5, 6, 7]


@pytest.mark.parametrize(
    "url",
    [
        "modbus://plc#address=nan",
        "modbus://plc#address=65505",
        "modbus://plc#address=1.5",
        "modbus://plc#unit=-1",
        "mqtt://broker/line#timeout-s=0",
        "http://host/hook#timeout-s=inf",
    ],
)
def test_a_number_that_makes_no_sense_is_refused(url):
    with pytest.raises(ConfigError, match=r"the option \S+ of the sink \S+ is "):
        open_sink(url)


def test_a_place_behind_the_end_that_a_power_cut_left_is_at_the_end(tmp_path):
    records, place = tmp_path / "records.jsonl", tmp_path / "sinks" / "mqtt.json"
    written(tmp_path, 3)
    journal = Journal(records, place)
    journal.commit(journal.read(3))
    first, second, _ = records.read_bytes().splitlines(keepends=True)
    records.write_bytes(first + second)
    after = Journal(records, place)
    assert after.read(9) == []
    written(tmp_path, 1, start=2)
    assert seqs(after.read(9)) == [2]


def test_records_that_took_the_place_of_others_while_the_sink_was_away_arrive(opened, tmp_path):
    sink, is_away = DurableKept(), threading.Event()
    sink.fails = is_away.is_set
    with opened(sink) as sinks:
        put(sinks, tmp_path, 1)
        wait_until(lambda: sink.seqs == [0])
        is_away.set()
        (tmp_path / "records.jsonl").rename(tmp_path / "records.1.jsonl")
        put(sinks, tmp_path, 5, start=1)
        is_away.clear()
    assert sink.seqs == list(range(6))


def test_a_damaged_line_is_left_out_and_does_not_end_a_durable_sink(opened, tmp_path):
    sink = DurableKept()
    written(tmp_path, 1)
    with (tmp_path / "records.jsonl").open("ab") as file:
        file.write(bytes(100) + b"\n")
    written(tmp_path, 1, start=1)
    with opened(sink) as sinks:
        wait_until(lambda: sinks.states()[0].n_waiting == 0)
    assert sink.seqs == [0, 1]


def test_a_disk_that_does_not_answer_for_a_moment_ends_no_durable_sink(
    opened, tmp_path, monkeypatch
):
    sink, opening, n_tries = DurableKept(), Path.open, itertools.count()

    def open_later(path: Path, *words: Any, **keys: Any) -> Any:
        if path.name == "records.jsonl" and words == ("rb",) and 0 < next(n_tries) < 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opening(path, *words, **keys)

    written(tmp_path, 3)
    monkeypatch.setattr(Path, "open", open_later)
    with opened(sink) as sinks:
        wait_until(lambda: sinks.states()[0].n_waiting == 0)
    assert sink.seqs == [0, 1, 2]
    assert next(n_tries) > 3


def test_a_place_is_kept_after_the_folder_was_removed(tmp_path):
    records, place = tmp_path / "out" / "records.jsonl", tmp_path / "out" / "sinks" / "mqtt.json"
    records.parent.mkdir()
    journal = Journal(records, place)
    shutil.rmtree(records.parent)
    records.parent.mkdir()
    written(records.parent, 2)
    journal.commit(journal.read(1))
    assert seqs(Journal(records, place).read(9)) == [1]
