"""`edgeinspect bench` and `edgeinspect plan`: what is printed, written, and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeinspect.bench.folder import write_bench
from edgeinspect.cli.main import build_app, main
from tests.bench.reports import HARDWARE, report, variant
from tests.bundles import make_bundle

STEADY = [10.0, 10.1, 9.9, 10.0]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"), has_golden=True)


def call(*words: object) -> Result:
    texts = [str(word) for word in words]
    return CliRunner().invoke(build_app(texts[0]), texts)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(SystemExit, match="2"):
        main([str(word) for word in words])
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def reports(folder: Path, after_ms: list[float], **changes: object) -> tuple[Path, Path]:
    write_bench(report(variant(STEADY)), folder / "before")
    write_bench(report(variant(after_ms), **changes), folder / "after")
    return folder / "before", folder / "after" / "bench.json"


def test_bench_prints_tables_and_writes_the_report(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    quick = ("--rounds", 6, "--threads", 1, "--no-baseline")
    done = call("bench", bundle, "--out", out, "--runtime", "onnxruntime", *quick)
    assert done.exit_code == 0, done.output
    assert "onnxruntime fp32 batch 1" in done.stdout
    assert "No ratio: it was not asked for." in done.stdout
    assert json.loads((out / "bench.json").read_text())["settings"]["rounds"] == 6
    assert {"bench.html", "bench.md"} <= {p.name for p in out.iterdir()}


def test_plan_prints_the_choice_and_the_next_command(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "planned.bundle"
    words = ("--deadline-ms", 5000, "--batch", 1, "--threads", 1, "--seconds", 0.1, "--out", out)
    words += ("--runtime", "onnxruntime")
    done = call("plan", bundle, *words, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["choice"]["runtime"] == "onnxruntime"
    done = call("plan", bundle, *words, "--force")
    assert f"next: edgeinspect run {out} SOURCE" in done.stdout
    assert "cannot show less than" in done.stderr


def test_compare_leaves_with_1_when_something_got_slower(tmp_path: Path) -> None:
    before, after = reports(tmp_path, [13.0, 13.1, 12.9, 13.0])
    done = call("bench", "--compare", before, after)
    assert done.exit_code == 1
    assert "slower" in done.stdout
    assert call("bench", "--compare", after, before).exit_code == 0
    plain = json.loads(call("bench", "--compare", before, after, "--json").stdout)
    assert plain["is_slower"]
    assert plain["changes"][0]["verdict"] == "slower"


def test_compare_says_that_wild_rounds_tell_nothing_apart(tmp_path: Path) -> None:
    done = call("bench", "--compare", *reports(tmp_path, [5.0, 30.0, 6.0, 28.0, 7.0, 9.0]))
    assert done.exit_code == 0
    assert "not told apart" in done.stdout
    assert "warning: 1 not told apart: their rounds differ too much" in done.stderr


def test_compare_refuses_another_box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = reports(tmp_path, STEADY, hardware={**HARDWARE, "gpu": "A GPU"})
    told = refused(capsys, "bench", "--compare", before, after)
    assert "different hardware: gpu none and A GPU" in told
    assert "--allow-other-hardware" in told
    done = call("bench", "--compare", before, after, "--allow-other-hardware")
    assert done.exit_code == 0
    assert "warning: different hardware" in done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--batch", "0"], "batch is 0; write numbers from 1 to 1024"),
        (["--batch", "one"], "--batch is 'one'"),
        (["--rounds", "5"], "rounds is 5: it must lie in 6"),
        (["--runtime", "tensorrt"], "tensorrt"),
        (["--runtime", "auto"], "'auto' is none"),
        (["--compare", "a.json", "b.json"], "--compare reads two reports and does not measure"),
        (["--runtime", "a,,b"], "--runtime is 'a,,b'"),
        (["--precision", "fp64"], "precision is 'fp64'"),
        (["--data", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_bad_input_of_bench_gets_one_line_and_nothing_is_written(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    line: str,
) -> None:
    out = tmp_path / "out"
    assert line in refused(capsys, "bench", bundle, "--out", out, "--no-baseline", *words)
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--batch", "0"], "batch is 0; write numbers from 1 to 1024"),
        (["--merge", "-1"], "merge is -1; write numbers from 0 on"),
        (["--runtime", "auto"], "'auto' is none"),
        (["--runtime", "tensorrt"], "tensorrt"),
        (["--data", "nowhere"], "there is no folder nowhere"),
        (["--run", "run"], "one of --run and --good was given"),
        (["--deadline-ms", "0"], "it must be a number above 0"),
        (["--seconds", "inf"], "seconds are inf"),
        (["--miss-probability", "2"], "it must be above 0 and below 1"),
    ],
)
def test_bad_input_of_plan_gets_one_line_and_nothing_is_written(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    line: str,
) -> None:
    out = tmp_path / "planned.bundle"
    assert line in refused(capsys, "plan", bundle, "--deadline-ms", 50, "--out", out, *words)
    assert not out.exists()


@pytest.mark.parametrize("inside", ["", "planned.bundle"])
def test_a_plan_does_not_replace_what_it_was_made_for(
    bundle: Path, capsys: pytest.CaptureFixture[str], inside: str
) -> None:
    words = ("--deadline-ms", 50, "--out", bundle / inside, "--force")
    assert "is the bundle itself, or lies in it" in refused(capsys, "plan", bundle, *words)


def test_a_bundle_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no bundle was given" in refused(capsys, "bench")


def test_a_folder_of_others_is_refused_before_anything_is_measured(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("x")
    assert "not written by" in refused(capsys, "bench", bundle, "--out", tmp_path, "--force")


def test_a_deadline_that_nothing_meets_writes_nothing(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "planned.bundle"
    words = ("--deadline-ms", 0.001, "--batch", 1, "--seconds", 0.1, "--out", out)
    words += ("--runtime", "onnxruntime")
    assert "the nearest is onnxruntime fp32" in refused(capsys, "plan", bundle, *words)
    assert not out.exists()
