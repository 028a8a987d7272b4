from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from edgeinspect.cli.main import main
from edgeinspect.config import ResizeRule
from edgeinspect.errors import EngineError
from edgeinspect.runtime.onnxruntime_session import OnnxRuntimeSession
from tests.bundles import make_bundle
from tests.cli.runs import one_error_line, run
from tests.stream.made_frames import make_pictures, read_records


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"), resize=ResizeRule.TILE)


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        (["good", "wide"], 0),
        (["good", "bad"], 1),
        (["good", "small"], 1),
        (["good", "broken"], 1),
        (["broken"], 1),
    ],
)
def test_the_exit_code_says_whether_every_part_is_ok(tmp_path, bundle, kinds, code):
    pictures = make_pictures(tmp_path / "in", kinds)
    assert run(bundle, pictures, tmp_path / "out") == code
    assert len(read_records(tmp_path / "out")) == len(kinds)


def test_the_summary_is_plain_when_piped(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["good", "good", "bad", "broken"])
    run(bundle, pictures, tmp_path / "out")
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split()[:2] == ["OK", "2"]
    assert lines[1].split()[:2] == ["NG", "1"]
    assert lines[2].split() == ["NOT-INSPECTED", "1", "unreadable", "1"]
    assert lines[3] == "records in 4 = records out 4"
    assert "\x1b" not in printed.out
    assert "warning: not inspected:" in printed.err
    assert "003_broken.png" in printed.err


@contextlib.contextmanager
def nobody_reads() -> Iterator[IO[str]]:
    """A stream into a pipe whose reader has ended."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1) as stream:
        yield stream


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_run_whose_talk_nobody_hears_any_more_judges_all_parts(
    tmp_path, bundle, monkeypatch, name
):
    pictures = make_pictures(tmp_path / "in", ["broken", "good", "good"])
    with nobody_reads() as stream:
        monkeypatch.setattr(sys, name, stream)
        assert run(bundle, pictures, tmp_path / "out") == 1
    assert len(read_records(tmp_path / "out")) == 3


def test_a_log_on_a_full_disk_ends_no_run(tmp_path, bundle, monkeypatch):
    pictures = make_pictures(tmp_path / "in", ["broken", "good"])
    full = open("/dev/full", "w", buffering=1)  # noqa: SIM115 (closing it fails as well)
    monkeypatch.setattr(sys, "stderr", full)
    assert run(bundle, pictures, tmp_path / "out") == 1
    with contextlib.suppress(OSError):
        full.close()
    assert len(read_records(tmp_path / "out")) == 2


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_run_with_a_closed_stream_is_judged_as_any(tmp_path, bundle, monkeypatch, name):
    pictures = make_pictures(tmp_path / "in", ["good", "good"])
    monkeypatch.setattr(sys, name, None)
    assert run(bundle, pictures, tmp_path / "out") == 0


def test_int8_is_run_where_the_bundle_has_it(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["good"])
    with_int8 = make_bundle(tmp_path, resize=ResizeRule.TILE, has_int8=True)
    assert run(with_int8, pictures, tmp_path / "a", "--precision", "int8") == 0
    assert run(bundle, pictures, tmp_path / "b", "--precision", "int8") == 2
    assert "has no INT8 graph; run: edgeinspect calibrate" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_json_is_the_only_thing_on_stdout(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["bad", "broken"])
    run(bundle, pictures, tmp_path / "out", "--json")
    summary = json.loads(capsys.readouterr().out)
    assert summary["verdicts"] == {"OK": 0, "NG": 1, "NOT-INSPECTED": 1}
    assert summary["overlays"] == 1


def test_ng_parts_get_overlays_unless_told_otherwise(tmp_path, bundle):
    pictures = make_pictures(tmp_path / "in", ["good", "bad"])
    run(bundle, pictures, tmp_path / "a")
    run(bundle, pictures, tmp_path / "b", "--save", "all")
    run(bundle, pictures, tmp_path / "c", "--save", "none")
    counts = [len(list((tmp_path / name).glob("overlays/*"))) for name in "abc"]
    assert counts == [1, 2, 0]


@pytest.mark.parametrize(
    ("source", "words"),
    [("in", "holds no pictures"), ("no", "there is no"), ("in/*.png", "no picture matches")],
)
def test_a_source_without_pictures_is_trouble_and_writes_nothing(
    tmp_path, bundle, capsys, source, words
):
    (tmp_path / "in").mkdir()
    assert run(bundle, tmp_path / source, tmp_path / "out") == 2
    assert words in one_error_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_a_missing_bundle_is_trouble_and_writes_nothing(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["good"])
    assert run(tmp_path / "no.bundle", pictures, tmp_path / "out") == 2
    assert "there is no bundle" in one_error_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_a_bundle_never_calibrated_says_what_to_type(tmp_path, capsys):
    pictures = make_pictures(tmp_path / "in", ["good"])
    assert run(make_bundle(tmp_path, calibrated=False), pictures, tmp_path / "out") == 2
    assert "run: edgeinspect calibrate" in one_error_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_an_earlier_run_is_kept_unless_forced(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["good", "bad"])
    run(bundle, pictures, tmp_path / "out")
    before = (tmp_path / "out" / "records.jsonl").read_bytes()
    capsys.readouterr()
    assert run(bundle, pictures, tmp_path / "out") == 2
    assert "--force" in one_error_line(capsys.readouterr().err)
    assert (tmp_path / "out" / "records.jsonl").read_bytes() == before
    assert run(bundle, pictures, tmp_path / "out", "--force") == 1


def test_pictures_that_a_glob_finds_in_the_output_are_not_replaced(tmp_path, bundle, capsys):
    make_pictures(tmp_path / "in", ["good"])
    out = tmp_path / "in" / "results"
    assert run(bundle, tmp_path / "in", out, "--save", "all") == 0
    capsys.readouterr()
    assert run(bundle, tmp_path / "in" / "**" / "*.*g", out, "--force") == 2
    assert "lie in --out" in one_error_line(capsys.readouterr().err)
    assert list((out / "overlays").iterdir())


def test_the_folder_of_the_pictures_cannot_be_the_output(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["good"])
    assert run(bundle, pictures, pictures, "--force") == 2
    assert "lie in --out" in one_error_line(capsys.readouterr().err)
    assert [p.name for p in pictures.iterdir()] == ["000_good.png"]


def test_a_runtime_that_is_not_there_is_trouble(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["good"])
    assert run(bundle, pictures, tmp_path / "out", "--runtime", "tensorrt") == 2
    assert "needs the package tensorrt, which is not installed" in one_error_line(
        capsys.readouterr().err
    )


def test_a_finished_run_that_is_resumed_has_nothing_to_do(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["good", "good"])
    run(bundle, pictures, tmp_path / "out")
    capsys.readouterr()
    assert run(bundle, pictures, tmp_path / "out", "--resume") == 0
    assert "records in 0 = records out 0, after 2 of earlier starts" in capsys.readouterr().out
    assert len(read_records(tmp_path / "out")) == 2


def test_several_sources_share_the_session_and_keep_their_own_order(tmp_path, bundle):
    left = make_pictures(tmp_path / "left", ["good", "bad"])
    right = make_pictures(tmp_path / "right", ["good", "good", "good"])
    words = ["run", str(bundle), f"left={left}", f"right={right}", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as left_with:
        main([*words, "--threads", "1", "--batch", "2"])
    assert left_with.value.code == 1
    records = read_records(tmp_path / "out")
    for name, n in (("left", 2), ("right", 3)):
        of_stream = [record for record in records if record["stream"] == name]
        assert [record["seq"] for record in of_stream] == list(range(n))
    (overlay,) = (tmp_path / "out" / "overlays").iterdir()
    assert overlay.name == "left_000001_001_bad.jpg"


def test_quiet_says_nothing_of_parts(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["broken", "good"])
    run(bundle, pictures, tmp_path / "out", "--quiet")
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "records in 2 = records out 2" in printed.out


def test_what_comes_in_floods_is_told_once(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["good"] * 4)
    assert run(bundle, pictures, tmp_path / "out", "--deadline-ms", "0") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "not inspected" in line]
    assert len(lines) == 1
    assert "only counted" in lines[0]


def test_a_roi_that_no_picture_holds_is_a_matter_of_size(tmp_path, bundle, capsys):
    pictures = make_pictures(tmp_path / "in", ["good"])
    assert run(bundle, pictures, tmp_path / "out", "--roi", "0,0,999,10") == 1
    assert read_records(tmp_path / "out")[0]["reason"] == "size"
    assert "do not hold the roi" in capsys.readouterr().err


@pytest.mark.parametrize(("failing", "code"), [({2}, 1), ({2, 3}, 2)])
def test_an_engine_that_fails_is_opened_again_once_and_then_ends_the_run(
    tmp_path, bundle, capsys, monkeypatch, failing, code
):
    opened, calls = [], []
    opening, infer = OnnxRuntimeSession.__init__, OnnxRuntimeSession.infer

    def counted_open(self: OnnxRuntimeSession, *args: object, **keys: object) -> None:
        opened.append(1)
        opening(self, *args, **keys)  # type: ignore[arg-type]

    def infer_or_fail(self: OnnxRuntimeSession, *args: object, **keys: object) -> object:
        calls.append(1)
        if len(calls) - 1 in failing:
            raise EngineError("the GPU fell off the bus")
        return infer(self, *args, **keys)  # type: ignore[arg-type]

    monkeypatch.setattr(OnnxRuntimeSession, "__init__", counted_open)
    monkeypatch.setattr(OnnxRuntimeSession, "infer", infer_or_fail)
    pictures, out = make_pictures(tmp_path / "in", ["good"] * 40), tmp_path / "out"
    assert run(bundle, pictures, out) == code
    records = read_records(out)
    reasons = [record["reason"] for record in records]
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert reasons[:4] == [None, None, "engine", None if code == 1 else "engine"]
    assert len(opened) == 2
    if code == 1:
        texts = [notice["text"] for record in records for notice in record["notices"]]
        assert texts == [
            "a batch failed: the GPU fell off the bus",
            "the session was opened again",
        ]
    else:
        assert set(reasons[2:]) == {"engine"}
        assert "error: the GPU fell off the bus" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--sink", "foo://x"],
        ["--view", "nowhere"],
        ["--keep-gib", "nan"],
        ["--max-wait-ms", "nan"],
        ["--max-wait-ms", "inf"],
        ["--deadline-ms", "nan"],
        ["--fps", "nan"],
        ["--batch", "1000000"],
    ],
)
def test_what_is_refused_leaves_the_earlier_run_as_it_was(tmp_path, bundle, capsys, words):
    pictures, out = make_pictures(tmp_path / "in", ["good"]), tmp_path / "out"
    run(bundle, pictures, out)
    before = (out / "records.jsonl").read_bytes()
    capsys.readouterr()
    assert run(bundle, pictures, out, "--force", *words) == 2
    assert words[0].removeprefix("--") in one_error_line(capsys.readouterr().err)
    assert (out / "records.jsonl").read_bytes() == before


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A bundle with a plan for batches of 3 in the CPU's runtime, FP32."""
    path = make_bundle(tmp_path, resize=ResizeRule.TILE)
    manifest = json.loads((path / "manifest.json").read_text())
    plan = {"runtime": "onnxruntime", "precision": "fp32", "batch": 3}
    manifest["provenance"]["plan"] = plan
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def test_settings_of_the_plan_are_taken_and_said_at_start_and_end(tmp_path, planned, capsys):
    pictures = make_pictures(tmp_path / "in", ["good"])
    assert run(planned, pictures, tmp_path / "out") == 0
    printed = capsys.readouterr()
    words = "settings of the bundle's plan: runtime onnxruntime, precision fp32, batch 3"
    assert words in printed.err
    assert words in printed.out


def test_options_win_over_the_plan(tmp_path, planned, capsys):
    pictures = make_pictures(tmp_path / "in", ["good"])
    options = ("--runtime", "onnxruntime", "--precision", "fp32", "--batch", "1", "--json")
    assert run(planned, pictures, tmp_path / "out", *options) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["from_plan"] == {}
    assert "plan" not in printed.err


def test_a_run_that_goes_on_with_another_bundle_says_so(tmp_path, bundle):
    pictures, out = make_pictures(tmp_path / "in", ["good"]), tmp_path / "out"
    run(bundle, pictures, out)
    make_pictures(tmp_path / "more", ["good"])
    (tmp_path / "more" / "000_good.png").rename(pictures / "001_good.png")
    run(make_bundle(tmp_path, resize=ResizeRule.SQUASH), pictures, out, "--resume")
    first, second = read_records(out)
    (notice,) = second["notices"]
    assert first["notices"] == []
    assert (notice["kind"], notice["values"]["bundle_hash"]) == ("bundle", second["bundle"])
    assert first["bundle"] in notice["text"]
