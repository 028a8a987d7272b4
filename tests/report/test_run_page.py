"""The report of a run: its figures are the run's, and a browser shows all of it."""

from __future__ import annotations

import dataclasses
import json
import re
import time
import tracemalloc
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeinspect.cli.main import build_app
from edgeinspect.errors import DataError, OutputError
from edgeinspect.report import run_history
from edgeinspect.report.run_history import read_run
from edgeinspect.report.run_page import make_run_report
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.stream.pictures import PictureStore
from edgeinspect.stream.records import Record, RecordFolder, prepare_record_folder
from tests.chromium import look_at
from tests.stream.made_records import made_record

START_S = 1_790_000_000.0
EVERY_S = 2.0


@pytest.fixture
def folder(tmp_path: Path) -> RecordFolder:
    return prepare_record_folder(tmp_path / "out", force=False, saves_pictures=True)


def at(record: Record, time_s: float) -> Record:
    return dataclasses.replace(record, frame=dataclasses.replace(record.frame, time_s=time_s))


def write(folder: RecordFolder, verdicts: list[Verdict], start_s: float = START_S) -> None:
    store = PictureStore(folder)
    with folder.records.open("a") as file:
        for seq, verdict in enumerate(verdicts):
            anomaly_map = np.zeros((64, 64), np.float32) if verdict is Verdict.NG else None
            record = made_record(seq, verdict, anomaly_map=anomaly_map, map_level=1.0)
            record = at(record, start_s + EVERY_S * seq)
            file.write((store.save(record) if verdict is Verdict.NG else record).to_line())


def note(folder: RecordFolder, kind: str, after_s: float, **about: object) -> None:
    stamp = datetime.fromtimestamp(START_S + after_s, timezone.utc).isoformat()
    plain = {"time": stamp, "kind": kind, "text": f"camera: {kind}", "source": "camera", **about}
    with (folder.path / "notices.jsonl").open("a") as file:
        file.write(json.dumps(plain) + "\n")


MIXED = [Verdict.OK] * 50 + [Verdict.NG] * 3 + [Verdict.NOT_INSPECTED] * 2


def test_counts_latencies_and_rate_are_those_of_the_records(folder):
    write(folder, MIXED)
    page = make_run_report(folder.path)
    assert page.n_by_verdict == {"OK": 50, "NG": 3, "NOT-INSPECTED": 2}
    assert page.n_by_reason == {"size": 2}
    assert page.quantiles_ms["infer"] == (10.0, 10.0, 10.0)
    assert page.quantiles_ms["waiting"][0] == pytest.approx(4.0)  # 20 - (1 + 2 + 10 + 3)
    assert page.rate_per_s == pytest.approx(55 / 108)


def test_latencies_are_of_parts_that_were_judged(folder):
    write(folder, [Verdict.OK] * 3)
    dropped = made_record(3, Verdict.NOT_INSPECTED)
    slow = dataclasses.replace(dropped.latency, total=9000.0)
    with folder.records.open("a") as file:
        file.write(at(dataclasses.replace(dropped, latency=slow), START_S + 9).to_line())
    assert make_run_report(folder.path).quantiles_ms["total"] == (20.0, 20.0, 20.0)


def test_a_run_that_judged_nothing_has_a_report_without_latencies(folder):
    write(folder, [Verdict.NOT_INSPECTED] * 3)
    assert make_run_report(folder.path).quantiles_ms == {}


def test_a_clock_that_was_wrong_at_first_gives_no_endless_axis(folder):
    write(folder, [Verdict.OK] * 3)
    with folder.records.open("a") as file:
        file.write(at(made_record(3), 5.0).to_line())  # a box whose battery is empty
    charts = make_run_report(folder.path).charts
    assert sum(chart.count("<text") for chart in charts) < 200
    assert "2000" in charts[0]


def scores_over(folder: RecordFolder, times_s: Iterable[float]) -> int:
    """Into how many pieces the curve of the median falls, parts having come at these times."""
    with folder.records.open("w") as file:
        for seq, after_s in enumerate(times_s):
            file.write(at(made_record(seq), START_S + after_s).to_line())
    chart = make_run_report(folder.path, force=True).charts[1]
    return len(re.findall(r"<polyline [^>]*#2f6f9f", chart))


@pytest.mark.parametrize(
    "times_s",
    [
        [0.9 * seq for seq in range(9)],
        [12.0 * seq for seq in range(50)],
        [2.0 * (seq // 10) for seq in range(300)],  # ten cameras at once
        [*(0.02 * seq for seq in range(100)), 4.9, *(5 + 0.02 * seq for seq in range(100))],
    ],
    ids=["a part now and then", "a slow line", "many at once", "a short stop"],
)
def test_the_curve_of_scores_has_no_gap_where_parts_come_as_usual(folder, times_s):
    assert scores_over(folder, times_s) == 1


def test_the_curve_of_scores_has_a_gap_where_the_line_stood_still(folder):
    before, after = range(0, 10_000, 10), range(14_000, 20_000, 10)
    assert scores_over(folder, [*before, *after]) == 2


def test_times_on_the_axis_are_those_of_the_clock_after_summer_time_too(folder, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    october_20 = 1_792_447_200.0 - START_S
    scores_over(folder, [october_20 + 3600 * hour for hour in range(12 * 24)])
    chart = make_run_report(folder.path, force=True).charts[1]
    monkeypatch.undo()
    time.tzset()
    assert re.findall(r">(\d\d Oct)<", chart) == ["22 Oct", "29 Oct"]


def test_how_much_was_watched_for_drift_and_what_was_not_is_told(folder):
    write(folder, MIXED)
    watched = {"n_scores_watched": 50, "n_pictures_watched": 12}
    note(folder, "started", 0)
    note(folder, "unwatched", 1, text="drift of pictures is not watched")
    note(folder, "ended", 60, values=watched)
    note(folder, "started", 70)
    page = make_run_report(folder.path)
    assert page.drift[0][1] == "drift of pictures is not watched"
    assert page.watched == (
        "Looked at: 50 scores of OK parts, 12 pictures, not counting starts without an end."
    )


def test_chromium_shows_the_charts_the_outage_the_drift_and_the_gallery(folder, tmp_path):
    write(folder, MIXED)
    note(folder, "outage", 20)
    note(folder, "recovered", 50, seconds=30.0)
    note(folder, "drift", 60, text="the pictures are darker", values={"trait": "brightness"})
    make_run_report(folder.path)
    seen = look_at(folder.path / "report.html", tmp_path)
    assert seen.title == "Inspection of 55 parts"
    assert (seen.n_parts, seen.n_images, seen.n_charts) == (3, 3, 4)
    for words in ("50 OK", "3 NG", "the pictures are darker", "camera: outage", "30 s", "size 2"):
        assert words in re.sub(r"\s+", " ", seen.text)
    assert (seen.addresses, seen.console) == ([], [])
    assert seen.scroll_width <= seen.width


def noted_in_record(folder: RecordFolder, **about: object) -> None:
    """A record that carries a notice, as the first part after it does."""
    plain = json.loads(at(made_record(99), START_S + 80).to_line())
    stamp = datetime.fromtimestamp(START_S + 60, timezone.utc).isoformat(timespec="milliseconds")
    plain["notices"] = [{"time": stamp, "source": "camera", **about}]
    with folder.records.open("a") as file:
        file.write(json.dumps(plain) + "\n")


def test_what_only_records_tell_is_on_the_page_too(folder):
    write(folder, MIXED)
    noted_in_record(folder, kind="drift", text="the pictures are darker")
    noted_in_record(folder, kind="recovered", text="camera is back", seconds=12.0)
    page = make_run_report(folder.path)
    assert [text for _, text in page.drift] == ["the pictures are darker"]
    assert [one.length for one in page.intervals] == ["12 s"]


def test_what_stands_in_records_and_in_notices_is_told_once(folder):
    write(folder, MIXED)
    noted_in_record(folder, kind="drift", text="darker")
    record = json.loads(folder.records.read_text().splitlines()[-1])
    with (folder.path / "notices.jsonl").open("a") as file:
        file.write(json.dumps(record["notices"][0]) + "\n")
    assert len(make_run_report(folder.path).drift) == 1


def test_records_of_before_there_were_notices_in_them_are_read(folder):
    write(folder, MIXED)
    lines = [json.loads(line) for line in folder.records.read_text().splitlines()]
    older = [{k: v for k, v in line.items() if k != "notices"} for line in lines]
    folder.records.write_text("".join(json.dumps(line) + "\n" for line in older))
    page = make_run_report(folder.path)
    assert (page.n_parts, page.n_unreadable) == (55, 0)


def test_an_outage_that_is_not_over_lasts_until_the_last_record(folder):
    write(folder, MIXED)
    note(folder, "outage", 100)
    (interval,) = make_run_report(folder.path).intervals
    assert interval.length == "8 s, not over"


def test_an_outage_in_which_the_run_ended_is_drawn_to_its_end(folder):
    write(folder, MIXED)
    note(folder, "outage", 110)
    note(folder, "outage", 330, seconds=220.0)
    page = make_run_report(folder.path)
    band, _in_the_legend = re.findall(r'<rect [^>]*width="([\d.]+)"[^>]*#f3d9a4', page.charts[1])
    assert float(band) > 350  # of 560


def test_the_gallery_does_without_pictures_that_went(folder):
    write(folder, MIXED)
    for path in folder.path.glob("overlays/*"):
        path.unlink()
    parts = make_run_report(folder.path).gallery
    assert [part.picture for part in parts] == [None] * 3


def test_the_gallery_does_without_pictures_that_a_power_cut_emptied(folder):
    write(folder, MIXED)
    for path in folder.path.glob("overlays/*"):
        path.write_bytes(b"")
    parts = make_run_report(folder.path).gallery
    assert [part.picture for part in parts] == [None] * 3


def test_a_score_far_below_the_threshold_does_not_make_an_endless_histogram(folder):
    scores = (-1e6, 0.5, 1.0)
    lines = [made_record(seq, score=2.0 * score).to_line() for seq, score in enumerate(scores)]
    folder.records.write_text("".join(lines))
    histogram = make_run_report(folder.path).charts[2]
    assert "in the first bar" in histogram
    assert len(histogram) < 20_000


@pytest.mark.parametrize(("score", "is_cut"), [(2.0, False), (300.0, True)])
def test_one_clear_defect_does_not_flatten_the_curve_of_scores(folder, score, is_cut):
    records = [made_record(seq, score=score if seq == 5 else 0.4) for seq in range(10)]
    lines = [at(record, START_S + EVERY_S * record.frame.seq).to_line() for record in records]
    folder.records.write_text("".join(lines))
    curve = make_run_report(folder.path).charts[1]
    assert ("above 2.5: at the edge" in curve) is is_cut


def test_half_a_line_and_broken_ones_do_no_harm(folder, tmp_path):
    write(folder, [Verdict.OK] * 3)
    with folder.records.open("a") as file:
        file.write('{"verdict": "OK"}\nnot json\n{"seq": 7, "ver')
    assert make_run_report(folder.path).n_unreadable == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time", "0001-01-01T00:00:00+00:00"),
        ("time", "9999-12-31T23:59:59+00:00"),
        ("reason", ["size"]),
        ("score", "1.5"),
        ("score", 10**400),
        ("threshold", [2.0]),
        ("latency_ms", None),
        ("latency_ms", {"total": "20"}),
        ("notices", 3),
        ("notices", ["outage"]),
        ("notices", [{"time": "yesterday"}]),
        ("notices", [{"time": "2026-01-01", "kind": "outage", "seconds": "long"}]),
        ("notices", [{"time": "2026-01-01", "kind": "started", "values": 3}]),
    ],
)
def test_a_record_edited_by_hand_is_left_out_and_named(folder, name, value):
    write(folder, [Verdict.OK, Verdict.NG, Verdict.NG])
    lines = [json.loads(line) for line in folder.records.read_text().splitlines()]
    lines[1][name] = value
    folder.records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = CliRunner().invoke(build_app("report"), ["report", str(folder.path)])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("2 parts: 1 OK, 1 NG")
    told = f"1 lines of {folder.records} are no records and left out, the first is line 2"
    assert told in done.stderr


def test_a_notice_edited_by_hand_is_left_out(folder):
    write(folder, [Verdict.OK] * 3)
    note(folder, "outage", 20, seconds="long")
    note(folder, "ended", 30, values={"n_scores_watched": "many"})
    assert make_run_report(folder.path).intervals == ()


def test_a_long_run_keeps_a_sample_and_exact_counts(folder, monkeypatch):
    monkeypatch.setattr(run_history, "N_SAMPLED", 40)
    write(folder, [Verdict.OK] * 300 + [Verdict.NG] * 10)
    run = read_run(folder.path)
    assert run.n_by_verdict == {"OK": 300, "NG": 10, "NOT-INSPECTED": 0}
    assert len(run.sample.score) == 40
    assert np.all(np.diff(run.sample.time_s) > 0)
    assert run.slot_counts.sum(axis=0).tolist() == [300, 10, 0]
    assert (run.width_s, len(run.slot_s)) == (15, 42)  # 620 s in at most 120 slots


def test_what_is_kept_of_a_record_does_not_grow_with_its_regions(folder):
    plain = json.loads(at(made_record(0), START_S).to_line())
    plain["regions"] = [{"box": [0, 0, n, n], "area_px": n, "peak": 0.5} for n in range(500)]
    with folder.records.open("w") as file:
        file.writelines([json.dumps(plain) + "\n"] * 300)
    tracemalloc.start()
    run = read_run(folder.path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert run.n_records == 300
    assert peak_bytes < 300 * 500 * 100  # 100 bytes a region


def test_names_from_the_world_cannot_break_the_page(folder):
    write(folder, [Verdict.OK])
    note(folder, "drift", 1, text="<script>alert(1)</script> \ud800")  # half of a pair
    make_run_report(folder.path)
    assert "<script>" not in (folder.path / "report.html").read_text()


def test_a_run_in_which_nothing_was_judged_has_a_page_too(folder):
    write(folder, [Verdict.NOT_INSPECTED])
    assert make_run_report(folder.path).ng_share == "-"


def test_a_page_is_not_replaced_unless_asked(folder):
    write(folder, [Verdict.OK])
    make_run_report(folder.path)
    with pytest.raises(OutputError, match="add --force"):
        make_run_report(folder.path)
    make_run_report(folder.path, force=True)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no records\.jsonl; give the --out folder"):
        make_run_report(tmp_path)


def test_the_command_says_where_to_look(folder):
    write(folder, MIXED)
    done = CliRunner().invoke(build_app("report"), ["report", str(folder.path), "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["verdicts"] == {"OK": 50, "NG": 3, "NOT-INSPECTED": 2}
    assert Path(told["page"]).is_file()
