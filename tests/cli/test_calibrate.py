"""`edgeinspect calibrate`: what it prints, and how it fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeinspect.bundle import read_bundle
from edgeinspect.calibration import int8
from edgeinspect.calibration.int8 import Int8Result, Speedup
from edgeinspect.cli.main import build_app, main
from edgeinspect.data.images import save_picture
from edgeinspect.errors import MissingPackageError
from edgeinspect.parity import ParityReport
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
    assert ": look whether these are good parts" in result.stdout
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


RESULT = Int8Result(
    parts=("encoder", "heads"),
    report=ParityReport(
        n_images=1,
        n_ties=0,
        score_error=0.0021,
        map_error=0.0,
        map_correlation=1.0,
        n_scale_changes=0,
        problems=(),
    ),
    speedup=Speedup(value=1.5, low=1.4, high=1.6),
    why_not=None,
)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (RESULT, "encoder, heads: 1.50 times as fast (95 %: 1.40 to 1.60), scores within 0.0021"),
        (replace(RESULT, why_not="it would be slower"), "not kept: it would be slower"),
    ],
)
def test_int8_ends_with_one_line(
    bundle: Path, good: Path, monkeypatch: pytest.MonkeyPatch, found: Int8Result, words: str
) -> None:
    monkeypatch.setattr(int8, "add_int8", lambda *args, **how: found)
    result = run(bundle, good, "--false-reject-rate", 0.05, "--int8")
    assert f"INT8                {words}" in result.stdout
    result = run(bundle, good, "--false-reject-rate", 0.05, "--int8", "--json")
    assert json.loads(result.stdout)["int8"]["is_kept"] == (found is RESULT)


def test_a_graph_that_cannot_be_int8_is_one_line_and_the_calibration_stays(
    bundle: Path, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["calibrate", str(bundle), str(good), "--false-reject-rate", "0.05", "--int8"])
    assert left.value.code == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(f"error: {bundle} holds no golden.npz")
    assert read_bundle(bundle).calibration is not None


def test_without_onnx_nothing_is_done(
    bundle: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run(bundle, good, "--false-reject-rate", 0.05, "--int8")
    assert isinstance(result.exception, MissingPackageError)
    assert read_bundle(bundle).calibration is None


def test_recalibrating_says_that_the_int8_graph_was_proven_before(
    tmp_path: Path, good: Path
) -> None:
    bundle = make_bundle(tmp_path, has_int8=True)
    result = run(bundle, good, "--false-reject-rate", 0.05)
    assert "the INT8 graph was held to the calibration before this one" in result.stderr


def test_an_unknown_rule_is_refused_with_those_there_are(bundle: Path, good: Path) -> None:
    result = run(bundle, good, "--rule", "best")
    assert result.exit_code == 2
    assert "mahalanobis" in result.stderr


def test_copies_are_told_apart_from_training_pictures(bundle: Path, good: Path) -> None:
    (good / "again.png").write_bytes((good / "3.png").read_bytes())
    result = run(bundle, good, "--false-reject-rate", 0.05)
    assert "the scores of 20 good pictures" in result.stdout
    assert "copies of others    1 pictures, left out" in result.stdout
    assert "trained the model" not in result.stdout
