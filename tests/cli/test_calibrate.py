"""`edgeinspect calibrate`: what it prints, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeinspect.bundle import read_bundle
from edgeinspect.cli.main import build_app, main
from edgeinspect.data.images import save_picture
from tests.bundles import good_picture, make_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path, calibrated=False)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    folder = tmp_path / "good"
    folder.mkdir()
    for i in range(20):
        save_picture(folder / f"{i}.png", good_picture(i))
    return folder


def run(*words: object) -> Result:
    args = ["calibrate", *map(str, words), "--threads", "1"]
    return CliRunner().invoke(build_app("calibrate"), args)


def test_the_result_names_threshold_rate_and_rule(bundle: Path, good: Path) -> None:
    result = run(bundle, good, "--false-reject-rate", 0.05)
    assert result.exit_code == 0
    threshold = read_bundle(bundle).require_calibration().threshold
    assert f"threshold           {threshold.value:.3f} (95 %: " in result.stdout
    assert "a quantile of the scores of 20 good pictures" in result.stdout
    assert "5 % of good parts (95 %: " in result.stdout
    assert "peak of l1, ssim, msgms" in result.stdout
    assert f"next: edgeinspect run {bundle}" in result.stdout


def test_json_holds_the_same_for_machines(bundle: Path, good: Path) -> None:
    (good / "broken.png").write_bytes(b"")
    result = run(bundle, good, "--false-reject-rate", 0.05, "--rule", "mahalanobis", "--json")
    found = json.loads(result.stdout)
    assert found["threshold"] == read_bundle(bundle).require_calibration().threshold.value
    assert (found["rule"], found["n_good"], found["n_given"]) == ("mahalanobis", 20, 21)
    assert found["skipped"][0]["picture"] == str(good / "broken.png")


def test_broken_pictures_are_named_and_counted(bundle: Path, good: Path) -> None:
    (good / "broken.png").write_bytes(b"")
    result = run(bundle, good, "--false-reject-rate", 0.05)
    assert "broken.png is empty" in result.stderr
    assert "not readable        1 of 21 pictures" in result.stdout


def test_a_selection_is_printed_as_a_table(bundle: Path, good: Path) -> None:
    result = run(bundle, good, "--false-reject-rate", 0.05, "--select")
    assert "AUROC  lead over the default  candidate" in result.stdout
    assert "(default)" in result.stdout
    assert "* chosen: " in result.stdout


def test_too_few_pictures_are_one_line_and_exit_code_2(
    bundle: Path, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["calibrate", str(bundle), str(good)])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: 20 good pictures cannot support a false-reject rate of 0.01")
    assert error.count("\n") == 1


def test_an_unknown_rule_is_refused_with_those_there_are(bundle: Path, good: Path) -> None:
    result = run(bundle, good, "--rule", "best")
    assert result.exit_code == 2
    assert "mahalanobis" in result.stderr
