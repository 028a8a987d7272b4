"""`edgeinspect train` as it is typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeinspect.cli.main import build_app, main
from edgeinspect.cli.settings import read_settings
from edgeinspect.config import Target, preset
from edgeinspect.training.run_folder import RunFolder
from tests.backbones import FEATURES
from tests.training.settings import SMALL, write_good

QUICK = {**SMALL, "adversarial": "0", "latent": "0"}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good(tmp_path_factory.mktemp("data") / "train" / "good", n=6)


def train(*words: str) -> object:
    settings = [w for key, value in QUICK.items() for w in ("--set", f"{key}={value}")]
    command = ["train", "--preset", "nano", "--device", "cpu", *settings, *words]
    return CliRunner().invoke(build_app("train"), command)


def test_a_run_is_trained_and_the_next_command_is_named(good, tmp_path):
    done = train(str(good), "--out", str(tmp_path / "run"), "--steps", "2")
    assert done.exit_code == 0, done.output
    assert f"next: edgeinspect export {tmp_path / 'run'} part.bundle" in done.stdout


def test_settings_of_the_command_line_are_those_of_the_run(good, tmp_path):
    done = train(str(good), "--out", str(tmp_path / "run"), "--steps", "1", "--set", "batch=3")
    assert done.exit_code == 0, done.output
    assert RunFolder.open(tmp_path / "run").config.optimiser.batch == 3


def test_epochs_are_turned_into_steps(good, tmp_path):
    done = train(str(good), "--out", str(tmp_path / "run"), "--epochs", "1")
    assert done.exit_code == 0, done.output
    assert RunFolder.open(tmp_path / "run").plan.n_steps == 2  # 4 pictures train, 2 a batch


def test_the_result_can_be_read_by_a_machine(good, tmp_path):
    done = train(str(good), "--out", str(tmp_path / "run"), "--steps", "1", "--json")
    result = json.loads(done.stdout)
    assert result["step"] == 1
    assert result["best_error"] > 0


def test_a_finished_run_that_is_resumed_stays_as_it_is(good, tmp_path):
    out = tmp_path / "run"
    train(str(good), "--out", str(out), "--steps", "2")
    before = (out / "metrics.jsonl").read_text()
    done = CliRunner().invoke(
        build_app("train"), ["train", str(good), "--out", str(out), "--resume"]
    )
    assert done.exit_code == 0, done.output
    assert (out / "metrics.jsonl").read_text() == before


def test_tiles_can_be_asked_for(good, tmp_path):
    done = train(str(good), "--out", str(tmp_path / "run"), "--steps", "1", "--tile")
    assert done.exit_code == 0, done.output
    assert RunFolder.open(tmp_path / "run").config.preprocess.resize.value == "tile"


def with_features(good: Path, out: Path, *words: str) -> list[str]:
    settings = {**QUICK, **FEATURES}
    pairs = [w for key, value in settings.items() for w in ("--set", f"{key}={value}")]
    start = ["train", str(good), "--out", str(out), "--preset", "nano", "--device", "cpu"]
    return [*start, *pairs, "--steps", "2", *words]


@pytest.mark.parametrize("target", ["features", "both"])
def test_the_target_and_its_weights_can_be_named(good, backbone_file, tmp_path, target):
    out, weights = tmp_path / "run", ["--backbone-weights", str(backbone_file)]
    done = CliRunner().invoke(
        build_app("train"), with_features(good, out, "--target", target, *weights)
    )
    assert done.exit_code == 0, done.output
    run = RunFolder.open(out)
    assert run.config.generator.target.value == target
    assert run.plan.backbone_weights is not None


def test_without_a_target_features_are_reconstructed(good, backbone_file, tmp_path):
    weights = ["--backbone-weights", str(backbone_file)]
    done = CliRunner().invoke(build_app("train"), with_features(good, tmp_path / "run", *weights))
    assert done.exit_code == 0, done.output
    assert RunFolder.open(tmp_path / "run").config.generator.target.value == "features"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "nonsense"], "error: .*nonsense.*pixels, features, both"),
        (["--target", "both", "--set", "backbone=lite0"], "error: timm has no backbone lite0"),
        (
            ["--target", "pixels", "--backbone-weights", "weights.pth"],
            "error: backbone weights are of no use to target pixels; set target=features",
        ),
        (
            ["--target", "features", "--backbone-weights", "weights.pth"],
            r"error: there is no file weights\.pth",
        ),
    ],
)
def test_a_target_that_cannot_be_is_one_line(good, tmp_path, capsys, words, message):
    with pytest.raises(SystemExit) as left:
        main(with_features(good, tmp_path / "run", *words))
    assert left.value.code == 2
    assert re.match(message, capsys.readouterr().err.splitlines()[-1])
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_names_the_options_that_changed_nothing(good, tmp_path, caplog):
    out = tmp_path / "run"
    train(str(good), "--out", str(out), "--steps", "2")
    words = ["train", str(good), "--out", str(out), "--resume", "--steps", "9", "--tile"]
    done = CliRunner().invoke(build_app("train"), words)
    assert done.exit_code == 0, done.output
    assert "--steps, --tile changed nothing" in caplog.text


def test_a_run_is_not_resumed_on_other_pictures(good, tmp_path, capsys):
    out, other = tmp_path / "run", write_good(tmp_path / "other", n=6)
    train(str(good), "--out", str(out), "--steps", "2")
    with pytest.raises(SystemExit) as left:
        main(["train", str(other), "--out", str(out), "--resume"])
    assert left.value.code == 2
    assert f"trains on the pictures of {good}, not on those of {other}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "name"), [("features", "fine"), ("both", "tiny"), ("pixels", "tiny")]
)
def test_without_a_preset_the_target_s_default_is_taken(target: str, name: str) -> None:
    assert read_settings(None, None, target=target) == preset(name, Target(target))
    assert read_settings("nano", None, target=target) == preset("nano", Target(target))
