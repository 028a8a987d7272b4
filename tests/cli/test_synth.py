"""`edgeinspect synth` from the command line: what it writes, says and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeinspect.cli.main import build_app, main
from edgeinspect.data.layout import find_good, find_test
from edgeinspect.data.splits import FEWEST_TO_FIT


def synth(*words: object) -> Result:
    return CliRunner().invoke(build_app("synth"), ["synth", *map(str, words)])


@pytest.mark.parametrize(
    ("n_good", "next_step"),
    [
        (FEWEST_TO_FIT, "next: edgeinspect fit {out} part.bundle"),
        (FEWEST_TO_FIT - 1, "too few for edgeinspect fit: --n-good 40"),
    ],
)
def test_a_data_set_is_written_and_the_next_step_named(
    n_good: int, next_step: str, tmp_path: Path
) -> None:
    out = tmp_path / "parts"
    result = synth(out, "--surface", "rolled", "--n-good", n_good, "--n-test", 12, "--size", 48)
    assert result.exit_code == 0
    assert "6 with a defect (scratch 1, rust 1, pit 1, dent 1, crack 1, stain 1)" in result.stdout
    assert next_step.format(out=out) in result.stdout
    assert (len(find_good(out)), len(find_test(out))) == (n_good, 12)


def test_defects_are_pasted_onto_good_pictures(tmp_path: Path) -> None:
    synth(tmp_path / "parts", "--n-good", 3, "--n-test", 0, "--size", 48)
    result = synth(tmp_path / "check", "--onto", tmp_path / "parts", "--severity", 0.5, "--json")
    counts = json.loads(result.stdout)
    assert (counts["n_train"], counts["n_test_good"]) == (0, 3)
    assert counts["n_defects"] == {"scratch": 1, "rust": 1, "pit": 1}
    assert len(find_test(tmp_path / "check")) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "9"], "error: size is 9: it must be 32"),
        (["--onto", "nowhere"], "error: there is no folder nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["synth", str(tmp_path / "out"), *words])
    assert left.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
