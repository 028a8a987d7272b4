from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from edgeinspect.config import ResizeRule, RunConfig, with_settings
from edgeinspect.digests import file_sha256
from edgeinspect.errors import (
    ConfigError,
    DataError,
    NonFiniteLossError,
    OutputError,
    TrainingError,
)
from edgeinspect.training import pictures
from edgeinspect.training.checkpoint import load_generator
from edgeinspect.training.loop import Trainer
from edgeinspect.training.planning import Duration
from edgeinspect.training.run_folder import RunFolder
from edgeinspect.training.train import resume, train
from tests.training.settings import SMALL, feature_config, small_config, write_good

STEPS = 6


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good(tmp_path_factory.mktemp("data") / "good")


@pytest.fixture(scope="module")
def finished(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all losses, trained to its end."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(good, out, small_config(), Duration(steps=STEPS), device="cpu")
    return out


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    folder = run / "checkpoints" / "last"
    return {
        f"{file.name}:{name}": tensor
        for file in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def stop_at(step: int):
    def on_step(progress):
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return on_step


def test_a_run_holds_settings_metrics_pictures_and_checkpoints(finished):
    records = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert records[-1].keys() == {"step", "holdout_error", "fill_error"}
    assert len(records[-1]["holdout_error"]) == 2
    assert list((finished / "pictures").glob("step-*.png"))
    assert RunFolder.open(finished).plan.n_steps == STEPS
    assert not list(finished.rglob("*.tmp"))


def test_training_and_held_out_pictures_are_told_apart_by_hash(finished):
    plan = RunFolder.open(finished).plan
    assert len(plan.training) == 4
    assert len(plan.holdout) == 2
    assert not plan.training.keys() & plan.holdout.keys()


def test_the_best_generator_is_loaded_for_inference(finished):
    generator, config, provenance = load_generator(finished)
    assert not generator.training
    assert generator(torch.rand(1, 3, 64, 64)).pixels.shape == (1, 2, 2, 3, 64, 64)
    assert config.preprocess.resize is ResizeRule.SQUASH
    assert provenance["training"]["best_step"] >= 1


def test_a_run_that_was_interrupted_and_resumed_is_the_same_run(good, finished, tmp_path):
    out = tmp_path / "halves"
    with pytest.raises(KeyboardInterrupt, match=r"step 4 of .* is kept; go on with: .* --resume"):
        train(good, out, small_config(), Duration(steps=STEPS), device="cpu", on_step=stop_at(3))
    resume(out, device="cpu")
    assert_same(weights_of(out), weights_of(finished))
    ours, theirs = ((run / "metrics.jsonl").read_text() for run in (out, finished))
    assert ours == theirs


def test_a_run_whose_metrics_were_damaged_goes_on_without_those_lines(good, finished, tmp_path):
    out = tmp_path / "halves"
    with pytest.raises(KeyboardInterrupt):
        train(good, out, small_config(), Duration(steps=STEPS), device="cpu", on_step=stop_at(3))
    with (out / "metrics.jsonl").open("ab") as file:  # as after a power cut
        file.write(b'\0\0\0\xff"step": 3}\n{"step": 3}')
    resume(out, device="cpu")
    ours, theirs = ((run / "metrics.jsonl").read_text() for run in (out, finished))
    assert ours == theirs


def test_a_last_checkpoint_that_is_damaged_is_one_line_of_export_too(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "checkpoints" / "last" / "state.json").write_text('{"step": 1')
    with pytest.raises(TrainingError, match=r"checkpoint .*last cannot be read: .*train anew"):
        load_generator(run)


@pytest.fixture(scope="module", params=["features", "both"])
def of_features(
    request: pytest.FixtureRequest, good: Path, backbone_file: Path, tmp_path_factory
) -> Path:
    """A run with features, trained to its end."""
    out: Path = tmp_path_factory.mktemp("runs") / request.param
    config = feature_config(request.param)
    train_with(backbone_file, good, out, config)
    return out


def train_with(backbone: Path, good: Path, out: Path, config: RunConfig, **words: object) -> None:
    weights = str(backbone)
    train(good, out, config, Duration(steps=4), backbone_weights=weights, device="cpu", **words)


def test_a_run_with_features_looks_at_them_on_held_out_pictures(of_features):
    records = [
        json.loads(line) for line in (of_features / "metrics.jsonl").read_text().splitlines()
    ]
    assert len(records[-1]["holdout_error"]) == 2
    assert min(records[-1]["fill_error"]) > 0.1  # of whitened features, not of grey levels
    assert any((of_features / "pictures").iterdir()) == (of_features.name == "both")


def test_training_moves_neither_backbone_nor_its_batch_norms(of_features, backbone_file):
    prefix = "generator.safetensors:generator.targets.backbone.network."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights_of(of_features).items()
        if name.startswith(prefix)
    }
    before = load_file(backbone_file)
    assert any(name.endswith("running_var") for name in weights)
    assert_same(weights, {name: before[name] for name in weights})


def test_a_run_with_features_tells_where_its_backbone_came_from(of_features, backbone_file):
    generator, _, provenance = load_generator(of_features)
    told = provenance["backbone_weights"]
    assert told == {"file": backbone_file.name, "sha256": file_sha256(backbone_file)}
    assert generator(torch.rand(1, 3, 64, 64)).features is not None


def test_a_run_with_features_is_resumed_to_be_the_same_without_the_file(
    good, of_features, backbone_file, tmp_path
):
    out, config = tmp_path / "halves", RunFolder.open(of_features).config
    copy = Path(shutil.copy(backbone_file, tmp_path))
    with pytest.raises(KeyboardInterrupt):
        train_with(copy, good, out, config, on_step=stop_at(2))
    copy.unlink()
    resume(out, device="cpu")
    assert_same(weights_of(out), weights_of(of_features))
    ours, theirs = ((run / "metrics.jsonl").read_text() for run in (out, of_features))
    assert ours == theirs


def test_preparing_a_run_leaves_nothing_when_it_is_interrupted(
    good, backbone_file, tmp_path, monkeypatch
):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgeinspect.training.train.prepare_targets", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_with(backbone_file, good, tmp_path / "run", feature_config("features"))
    assert not (tmp_path / "run").exists()


def test_a_run_that_never_had_its_backbone_is_not_resumed_without(of_features, tmp_path):
    run = RunFolder.create(tmp_path / "run", RunFolder.open(of_features).plan)
    with pytest.raises(TrainingError, match="stopped before its networks had the weights"):
        resume(run.path, device="cpu")


def test_a_run_that_broke_in_its_first_step_is_resumed_to_be_the_same(
    good, of_features, backbone_file, tmp_path, monkeypatch
):
    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    out, config = tmp_path / "run", RunFolder.open(of_features).config
    monkeypatch.setattr(Trainer, "_step", fail)
    with pytest.raises(RuntimeError, match="broken"):
        train_with(backbone_file, good, out, config)
    monkeypatch.undo()
    resume(out, device="cpu")
    ours, theirs = ((run / "metrics.jsonl").read_text() for run in (out, of_features))
    assert ours == theirs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "tf_efficientnet_light0"}, "timm has no backbone tf_efficientnet_light0"),
        ({"backbone": "vit_tiny_patch16_224"}, "features every 16 px, none every 8 px"),
        ({"backbone": "test_resnet"}, "are not those of test_resnet"),
        ({"target": "pixels"}, "backbone weights are of no use to target pixels; set target="),
    ],
)
def test_a_backbone_that_does_not_fit_is_refused_before_anything_is_written(
    good, backbone_file, tmp_path, changes, message
):
    config = with_settings(feature_config("both"), changes)
    with pytest.raises((ConfigError, TrainingError), match=message):
        train_with(backbone_file, good, tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


def test_pictures_are_read_before_steps_are_timed(good, tmp_path, monkeypatch):
    """Else a GPU, which waits for the first reading, would be given too few steps."""
    happened = []
    read, step = pictures.read_picture, Trainer._step

    def reading(*args, **words):
        happened.append("read")
        return read(*args, **words)

    def stepping(*args):
        happened.append("step")
        return step(*args)

    config = small_config(adversarial="0", latent="0")
    out = tmp_path / "run"
    train(good, out, config, Duration(steps=1), device="cpu")
    monkeypatch.setattr(pictures, "read_picture", reading)
    monkeypatch.setattr(Trainer, "_step", stepping)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    assert Trainer(RunFolder.open(out), fabric, 4).time_steps(4, 1) > 0
    assert happened[-4:] == ["step"] * 4
    assert set(happened[:-4]) == {"read"}


def test_the_length_in_minutes_becomes_steps_that_are_stored(good, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(
            good, out, small_config(adversarial="0", latent="0"), Duration(minutes=5.0),
            device="cpu", on_step=stop_at(1),
        )  # fmt: skip
    assert RunFolder.open(out).plan.n_steps > STEPS


def test_training_improves_on_held_out_pictures(good, tmp_path):
    config = small_config(adversarial="0", latent="0", learning_rate="0.003")
    state = train(good, tmp_path / "run", config, Duration(steps=60), device="cpu")
    assert state.best_error is not None
    assert state.fill_error is not None
    assert state.best_error < 0.9 * state.fill_error


@pytest.mark.parametrize(
    ("settings", "files"),
    [
        ({"adversarial": "0", "latent": "0"}, ["generator"]),
        ({"adversarial": "0"}, ["generator", "latent_encoder"]),
        ({"latent": "0"}, ["discriminator", "generator"]),
    ],
)
def test_a_loss_without_weight_has_no_network(good, tmp_path, settings, files):
    train(good, tmp_path / "run", small_config(**settings), Duration(steps=1), device="cpu")
    names = (tmp_path / "run/checkpoints/last").glob("[!o]*.safetensors")
    assert sorted(path.stem for path in names) == files


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(good, finished, tmp_path):
    run = RunFolder.create(tmp_path / "run", replace(RunFolder.open(finished).plan, n_steps=9))
    from edgeinspect.training.train import _launch

    trainer = Trainer(run, _launch(run.config, "cpu"), 9)
    with torch.no_grad():
        trainer.plain.reconstructor.generator.head.bias.fill_(float("nan"))
    with pytest.raises(NonFiniteLossError, match=r"not finite; there is no checkpoint yet"):
        trainer.train()


def test_a_broken_picture_is_left_out_and_counted(tmp_path):
    good = write_good(tmp_path / "good", n=5)
    (good / "part-99.png").write_bytes(b"")
    train(good, tmp_path / "run", small_config(), Duration(steps=1), device="cpu")
    assert RunFolder.open(tmp_path / "run").plan.skipped == ("part-99.png",)


def test_long_pictures_are_cut_into_tiles(tmp_path):
    good = write_good(tmp_path / "good", n=4, size=(64, 150))
    train(good, tmp_path / "run", small_config(), Duration(steps=1), device="cpu")
    assert RunFolder.open(tmp_path / "run").config.preprocess.resize is ResizeRule.TILE


def test_a_run_is_not_overwritten_without_force(good, finished):
    with pytest.raises(OutputError, match="exists; go on with --resume"):
        train(good, finished, small_config(), Duration(steps=1), device="cpu")


@pytest.mark.parametrize("first", ["run.json", "step-000000.png", "state.json"])
def test_a_disk_that_is_full_before_the_first_checkpoint_leaves_no_run(
    good, tmp_path, monkeypatch, first
):
    def full_from_then_on(path: Path, data: bytes) -> None:
        if first in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path.write_bytes(data)

    for module in ("edgeinspect.writing", "edgeinspect.training.checkpoint"):
        monkeypatch.setattr(f"{module}.write_synced", full_from_then_on)
    with pytest.raises(OutputError, match="no space is left on the disk"):
        train(good, tmp_path / "run", small_config(), Duration(steps=1), device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_disk_that_is_full_after_a_checkpoint_leaves_the_run(good, tmp_path):
    def full(_: object) -> None:
        raise OutputError("no space is left on the disk")

    with pytest.raises(OutputError, match="no space is left on the disk"):
        train(good, tmp_path / "run", small_config(), Duration(steps=1), device="cpu", on_step=full)
    assert load_generator(tmp_path / "run")


def test_a_folder_that_is_no_run_is_never_overwritten(good, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not a training run"):
        train(good, tmp_path, small_config(), Duration(steps=1), device="cpu", force=True)


def test_too_few_pictures_are_refused(tmp_path):
    with pytest.raises(DataError, match="has 2 readable good pictures"):
        train(
            write_good(tmp_path / "good", n=2), tmp_path / "run", small_config(),
            Duration(steps=1), device="cpu",
        )  # fmt: skip


def test_a_device_that_is_not_there_is_one_line(good, tmp_path):
    with pytest.raises(ConfigError, match="device nonsense with precision 32-true"):
        train(
            good, tmp_path / "run", small_config(precision="32-true"), Duration(steps=1),
            device="nonsense",
        )  # fmt: skip


def test_resuming_what_never_was_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="is not a training run"):
        resume(tmp_path / "nothing", device="cpu")


def test_two_lengths_at_once_are_refused():
    with pytest.raises(ConfigError, match="give one of --steps, --epochs and --minutes"):
        Duration(steps=1, minutes=1.0)


def test_two_processes_train_as_one(good, tmp_path):
    """torchrun with gloo: the mean of two half batches moves the weights as the whole batch.

    No process leaves the group's threads to the interpreter's end: they abort it now and then.
    """
    settings = SMALL | {"adversarial": "0", "latent": "0", "precision": "32-true"}
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    start = ["train", str(good), "--preset", "nano", "--target", "pixels", "--device", "cpu"]
    command = [*start, "--steps", "2", *options]
    launch = (
        "import torch.distributed\nfrom edgeinspect.cli.main import main\n"
        "try: main()\nfinally: assert not torch.distributed.is_initialized()\n"
    )
    script = tmp_path / "launch.py"
    script.write_text(launch)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, launcher in {
        "one": [sys.executable],
        "two": [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"
        ],
    }.items():  # fmt: skip
        done = subprocess.run(
            [*launcher, str(script), *command, "--out", str(tmp_path / name)],
            capture_output=True, text=True, env=environment, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    one, two = (weights_of(tmp_path / name) for name in ("one", "two"))
    weights = [name for name in one if name.startswith("generator")]
    for name in weights:
        assert torch.allclose(one[name], two[name], atol=1e-4), name


def test_a_picture_whose_name_is_no_utf8_is_found_again(tmp_path):
    good = write_good(tmp_path / "good")
    first = min(good.iterdir())
    first.rename(first.with_name(os.fsdecode(b"part_\xff.png")))
    train(good, tmp_path / "run", small_config(), Duration(steps=1), device="cpu")
    run = RunFolder.open(tmp_path / "run")
    assert {*run.training_paths(), *run.holdout_paths()} == set(good.iterdir())


@pytest.mark.parametrize("device", ["tpu", "mps"])
def test_a_device_of_another_kind_of_machine_is_one_line(good, tmp_path, device):
    with pytest.raises(ConfigError, match=f"device {device} with precision 32-true cannot be used"):
        train(
            good, tmp_path / "run", small_config(precision="32-true"), Duration(steps=1),
            device=device,
        )  # fmt: skip


def test_a_run_that_was_stopped_says_how_far_it_came(good, tmp_path, caplog):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(good, out, small_config(), Duration(steps=STEPS), device="cpu", on_step=stop_at(3))
    _, _, provenance = load_generator(out)
    assert (provenance["n_steps_done"], provenance["n_steps"]) == (4, STEPS)
    assert f"run {out} stopped at step 4 of {STEPS}; go on with: " in caplog.text


def _hungry(*_: object) -> None:
    torch.empty(2**50)


def _as_on_a_gpu(*_: object) -> None:
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("step", [_hungry, _as_on_a_gpu])
def test_a_lack_of_memory_is_one_line_that_says_what_helps(good, tmp_path, monkeypatch, step):
    monkeypatch.setattr(Trainer, "_step", step)
    message = r"no memory is left for preset nano with batches of 2 images of 64 px; .* batch=1,"
    with pytest.raises(TrainingError, match=message):
        train(good, tmp_path / "run", small_config(), Duration(steps=1), device="cpu")
