"""`edgeinspect evaluate`: what it prints, what it writes, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeinspect.cli.main import build_app, main
from tests.bundles import make_bundle
from tests.evaluation.parts_folder import make_parts


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    make_parts(folder / "parts")
    make_bundle(folder)
    return folder


def run(place: Path, out: Path, *words: str) -> Result:
    args = ["evaluate", f"{place}/part.bundle", f"{place}/parts", "--out", str(out)]
    return CliRunner().invoke(build_app("evaluate"), [*args, "--threads", "1", *words])


def test_the_tables_name_the_score_the_baselines_and_the_classes(
    place: Path, tmp_path: Path
) -> None:
    result = run(place, tmp_path / "out")
    assert result.exit_code == 0
    first = [line.split("  ")[0] for line in result.stdout.splitlines()]
    assert {"score", "smooth fill", "nearest neighbour", "class", "line", "spot"} <= set(first)
    assert "6 good parts, 7 defects; 3 defects without a mask" in result.stdout
    assert (tmp_path / "out/metrics.json").is_file()


def test_json_is_what_metrics_json_holds(place: Path, tmp_path: Path) -> None:
    result = run(place, tmp_path / "out", "--json", "--rows", "0", "--no-equalised")
    assert json.loads(result.stdout) == json.loads((tmp_path / "out/metrics.json").read_text())
    assert not (tmp_path / "out/rows").exists()


def test_a_second_time_needs_force(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ("--rows", "0", "--no-equalised")
    assert run(place, tmp_path / "out", *quick).exit_code == 0
    assert run(place, tmp_path / "out", *quick, "--force").exit_code == 0
    words = ["evaluate", f"{place}/part.bundle", f"{place}/parts", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert "exists; add --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bundle", "data", "message"),
    [
        ("part.bundl", "parts", "did you mean"),
        ("part.bundle", "part", "did you mean"),
        ("part.bundle", "part.bundle", "has no test pictures"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    bundle: str,
    data: str,
    message: str,
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", str(place / bundle), str(place / data), "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
