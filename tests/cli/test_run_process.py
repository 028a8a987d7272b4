"""`edgeinspect run` in a process of its own: signals, kills, a terminal, names, another run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeinspect.config import ResizeRule
from tests.bundles import make_bundle
from tests.cli.runs import one_error_line, run, start, whole_records, words_for
from tests.stream.made_frames import make_pictures, read_records
from tests.stream.made_records import HANGS_S, wait_until


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"), resize=ResizeRule.TILE)


def test_ctrl_c_ends_with_complete_records_a_summary_and_130(tmp_path, bundle):
    folder = tmp_path / "in"
    make_pictures(folder, ["broken"] + ["good"] * 150)  # the first is complained about at once
    process = start(words_for(bundle, folder, tmp_path / "out", "--fps", "1"))
    assert process.stderr is not None
    assert "000_broken.png" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    printed, talk = process.communicate(timeout=HANGS_S)
    assert process.returncode == 130
    n = len(read_records(tmp_path / "out"))
    assert 0 < n <= 150
    assert f"records in {n} = records out {n}" in printed
    assert f"interrupted: {n} parts have their records" in talk
    assert "Traceback" not in talk


@pytest.mark.parametrize(("kinds", "code"), [(["good", "good"], 0), (["good", "bad"], 1)])
def test_sigterm_is_how_a_run_on_an_endless_source_ends(tmp_path, bundle, kinds, code):
    folder = make_pictures(tmp_path / "in", kinds[:1])
    out = tmp_path / "out"
    process = start(words_for(bundle, f"watch:{folder}", out))
    wait_until(lambda: (out / "records.jsonl").exists() and len(whole_records(out)) == 1)
    make_pictures(tmp_path / "more", kinds[1:])
    (more,) = (tmp_path / "more").iterdir()
    more.rename(folder / "more.png")
    wait_until(lambda: len(whole_records(out)) == 2)
    process.send_signal(signal.SIGTERM)
    printed, talk = process.communicate(timeout=HANGS_S)
    assert process.returncode == code
    n = 2
    assert f"records in {n} = records out {n}" in printed
    assert "interrupted" not in talk


def test_paths_on_standard_input_that_were_not_reached_are_missing(tmp_path, bundle):
    (picture,) = make_pictures(tmp_path / "in", ["good"]).iterdir()
    out = tmp_path / "out"
    process = start(words_for(bundle, "-", out), stdin=subprocess.PIPE)
    assert process.stdin is not None
    print(picture, file=process.stdin, flush=True)
    wait_until(lambda: (out / "records.jsonl").exists() and len(whole_records(out)) == 1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=HANGS_S)
    assert process.returncode == 130


def test_a_run_that_was_killed_is_resumed_with_the_first_part_without_record(tmp_path, bundle):
    folder = make_pictures(tmp_path / "in", ["broken", *["good"] * 40])
    out = tmp_path / "out"
    process = start(words_for(bundle, folder, out, "--fps", "2", "--resume"))
    wait_until(lambda: (out / "records.jsonl").exists() and len(whole_records(out)) > 3)
    process.kill()
    process.communicate(timeout=HANGS_S)
    assert len(whole_records(out)) < 41
    with (out / "records.jsonl").open("ab") as file:
        file.write(b'{"seq": 12, "sou')  # as a kill in the middle of a write leaves it
    assert run(bundle, folder, out, "--resume") == 0
    records = read_records(out)
    assert [record["seq"] for record in records] == list(range(41))
    assert [Path(record["source"]) for record in records] == sorted(folder.iterdir())


def test_the_panel_shows_rate_verdicts_latency_and_the_last_ng_part(tmp_path, bundle):
    """On a real terminal: a pseudo-terminal of the system."""
    import pty

    pictures = make_pictures(tmp_path / "in", ["good", "bad", "broken", *["good"] * 60])
    leader, follower = pty.openpty()
    code = (
        "from edgeinspect.cli.main import main;"
        f" main({words_for(bundle, pictures, tmp_path / 'out', '--fps', '2')!r})"
    )
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=follower, env=environment
    )
    os.close(follower)
    wanted = {"edgeinspect run", "of 63", "a second", "last NG", "001_bad.png", "p99"}
    shown = ""
    while (data := _read_terminal(leader)) and not all(words in shown for words in wanted):
        shown += data
    process.send_signal(signal.SIGINT)
    while _read_terminal(leader):
        pass  # a program that nobody reads from would wait
    os.close(leader)
    assert process.wait(timeout=HANGS_S) == 130
    assert {words for words in wanted if words not in shown} == set()


def _read_terminal(leader: int) -> str:
    """What is shown next; nothing once the program has left its terminal."""
    try:
        return os.read(leader, 1 << 16).decode(errors="replace")
    except OSError:  # how the end of a terminal is told
        return ""


def test_names_that_are_no_utf8_are_judged_told_and_reported(tmp_path, bundle):
    folder = make_pictures(tmp_path / "in", ["bad", "good"])
    for path in folder.iterdir():
        path.rename(os.fsdecode(os.fsencode(path.with_suffix("")) + b"\xff\n.png"))
    (folder / "empty.png").touch()
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/out\xff"))
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    process = start(words_for(bundle, folder, out, "--json"), env=environment)
    printed, talk = process.communicate(timeout=HANGS_S)
    assert process.returncode == 1
    assert json.loads(printed)["out"] == str(out)
    assert talk.count("\n") == 1
    assert "empty.png is empty" in talk
    process = start(["report", str(out)], env=environment)
    process.communicate(timeout=HANGS_S)
    assert process.returncode == 0


def test_a_second_run_into_the_same_folder_is_refused_and_the_first_goes_on(tmp_path, bundle):
    folder, out = make_pictures(tmp_path / "in", ["good"]), tmp_path / "out"
    first = start(words_for(bundle, f"watch:{folder}", out))
    wait_until(lambda: (out / "records.jsonl").exists() and len(whole_records(out)) == 1)
    for option in ("--force", "--resume"):
        second = start(words_for(bundle, folder, out, option))
        _, talk = second.communicate(timeout=HANGS_S)
        assert second.returncode == 2
        assert "another run writes into" in one_error_line(talk)
    assert len(whole_records(out)) == 1
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=HANGS_S)
    assert first.returncode == 0
    assert run(bundle, folder, out, "--resume") == 0
