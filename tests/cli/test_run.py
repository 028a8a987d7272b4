from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeinspect.cli.main import main
from edgeinspect.config import ResizeRule
from edgeinspect.stream.run import Save
from tests.bundles import make_bundle
from tests.stream.made_frames import make_pictures, read_records


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"), resize=ResizeRule.TILE)


def run(bundle: Path, source: Path | str, out: Path, *options: str) -> int:
    words = ["run", str(bundle), str(source), "--out", str(out), "--threads", "1", *options]
    with pytest.raises(SystemExit) as left:
        main(words)
    return int(left.value.code or 0)


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


def test_the_words_of_save_are_those_of_the_library():
    from edgeinspect.cli.run import SaveChoice

    assert [choice.value for choice in SaveChoice] == [save.value for save in Save]


def one_error_line(printed: str) -> str:
    (line,) = printed.splitlines()
    assert line.startswith("error: ")
    return line


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


def test_ctrl_c_ends_with_complete_records_a_summary_and_130(tmp_path, bundle):
    folder = tmp_path / "in"
    make_pictures(folder, ["broken"] + ["good"] * 150)  # the first is complained about at once
    words = ["run", str(bundle), str(folder), "--out", str(tmp_path / "out"), "--threads", "1"]
    code = f"from edgeinspect.cli.main import main; main({words!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "000_broken.png" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    printed, talk = process.communicate(timeout=30)
    assert process.returncode == 130
    n = len(read_records(tmp_path / "out"))
    assert 0 < n <= 150
    assert f"records in {n} = records out {n}" in printed
    assert f"interrupted: {n} parts have their records" in talk
    assert "Traceback" not in talk
