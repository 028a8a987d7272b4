"""Weights from a file or the hub: what is read, recorded and refused, and that runs keep it."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import re
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from edgeinspect.cli.main import main
from edgeinspect.errors import ConfigError, TrainingError
from edgeinspect.training.checkpoint import load_generator
from edgeinspect.training.encoder_weights import read_encoder_weights, start_encoders
from edgeinspect.training.networks import build_networks
from edgeinspect.training.planning import Duration
from edgeinspect.training.run_folder import RunFolder
from edgeinspect.training.train import resume, train
from tests.training.settings import SMALL, small_config, write_good

NAME = "vit_tiny_patch16_224.augreg_in21k"
QKV = "blocks.0.attn.qkv.weight"
QUERY = "blocks.0.attention.query.weight"


def state_of(**changes: int) -> dict[str, torch.Tensor]:
    """A timm model that fits `small_config`: a width of 64, patches of 8 px."""
    sizes = {"img_size": 64, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 1}
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, **{**sizes, **changes})
    return model.state_dict()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good(tmp_path_factory.mktemp("data") / "good")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Named as timm names a model, so that its normalisation is known."""
    path = tmp_path / f"{NAME}.safetensors"
    save_file(state_of(), path)
    return path


def read(path: Path | str):
    return read_encoder_weights(str(path), small_config().generator)


def encoder_at_the_start(run: Path) -> dict[str, torch.Tensor]:
    weights = load_file(run / "checkpoints" / "last" / "generator.safetensors")
    prefix = "generator.encoder."
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def test_both_encoders_start_from_the_weights(file):
    networks = build_networks(small_config())
    start_encoders(networks, read(file))
    assert networks.latent_encoder is not None
    for encoder in (networks.reconstructor.generator.encoder, networks.latent_encoder):
        assert torch.equal(encoder.state_dict()[QUERY], state_of()[QKV][:64])


def test_what_was_read_is_told(file):
    origin = read(file).origin
    assert origin.file == f"{NAME}.safetensors"
    assert origin.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (origin.n_blocks, origin.n_blocks_in_file) == (1, 2)


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
@pytest.mark.parametrize("wrap", [dict, lambda s: {"model": s}, lambda s: {"state_dict": s}])
def test_files_of_torch_give_the_same(tmp_path, file, suffix, wrap):
    path = tmp_path / f"{NAME}{suffix}"
    torch.save(wrap(state_of()), path)
    ours, theirs = read(path).tensors, read(file).tensors
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_half_precision_is_read_as_single(tmp_path):
    path = tmp_path / f"{NAME}.safetensors"
    save_file({name: tensor.half() for name, tensor in state_of().items()}, path)
    assert {tensor.dtype for tensor in read(path).tensors.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "mean"),
    [(NAME, 0.5), ("deit_tiny_patch16_224-a1311bcf", 0.485), ("deit_tiny_patch16_224", 0.485)],
)
def test_the_name_says_how_pixels_were_normalised(tmp_path, caplog, name, mean):
    torch.save(state_of(), tmp_path / f"{name}.pth")
    assert read(tmp_path / f"{name}.pth").origin.mean[0] == mean
    assert not caplog.records


def test_a_name_that_timm_does_not_know_is_warned_of(tmp_path, caplog):
    torch.save(state_of(), tmp_path / "model.pth")
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path / "model.pth").origin.mean == (0.5, 0.5, 0.5)
    assert "timm has no model model, so its pixels are taken to be normalised" in caplog.text


class Code:
    """What a pickle would run."""

    def __reduce__(self):
        return (print, ("run",))


def test_no_code_of_a_file_is_run(tmp_path, capsys):
    path = tmp_path / f"{NAME}.pth"
    torch.save({**state_of(), "code": Code()}, path)
    with pytest.raises(TrainingError, match=r"cannot be read: damaged, or more than tensors"):
        read(path)
    path.write_bytes(pickle.dumps(Code()))
    with pytest.raises(TrainingError, match=r"cannot be read: damaged, or more than tensors"):
        read(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "data", [b"", b"no weights", b"\x80\x02]q\x00.", b"hello, no weights", b"0 weights", b"M"]
)
def test_a_damaged_file_is_one_line(tmp_path, suffix, data):
    (tmp_path / f"broken{suffix}").write_bytes(data)
    with pytest.raises(TrainingError, match=r"cannot be read: .*; save the state dict") as caught:
        read(tmp_path / f"broken{suffix}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named_with_the_near_one(tmp_path, file):
    wrong = tmp_path / f"{NAME}.safetensor"
    with pytest.raises(TrainingError, match=rf"there is no file .*; did you mean {file}\?"):
        read(wrong)


def test_a_folder_is_no_file_and_not_what_was_meant(tmp_path):
    (tmp_path / "weights.pth").mkdir()
    with pytest.raises(TrainingError, match=r"there is no file .*weights\.pth; check the path"):
        read(tmp_path / "weights.pth")


def test_what_does_not_fit_is_refused_without_a_word_on_its_pixels(tmp_path, caplog):
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.pth")
    with pytest.raises(TrainingError, match=r"model\.pth is not a plain vision transformer"):
        read(tmp_path / "model.pth")
    assert not caplog.records


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "weights.npz").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"are none of \.safetensors, \.pth, \.pt; save"):
        read(tmp_path / "weights.npz")


def test_the_hubs_file_is_read_like_any_other(monkeypatch, file):
    asked = []

    def fetch(repository: str, name: str) -> str:
        asked.append((repository, name))
        return str(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    origin = read(f"timm:{NAME}").origin
    assert asked == [(f"timm/{NAME}", "model.safetensors")]
    assert origin.file == f"timm:{NAME}"
    assert origin.sha256 == read(file).origin.sha256


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch, tmp_path):
    def fetch(*_: str) -> str:
        raise LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    message = rf"timm:{NAME} cannot be fetched .*; fetch .* --encoder-weights {NAME}.safetensors"
    with pytest.raises(TrainingError, match=message) as caught:
        read(f"timm:{NAME}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224.augreg_in22k", "vit_tinny_patch16_224"])
def test_the_near_one_of_timms_models_is_named(name):
    with pytest.raises(TrainingError, match=rf"no weights named {name}; did you mean vit_tiny_"):
        read(f"timm:{name}")


def test_a_run_and_its_generator_tell_where_the_encoder_came_from(good, file, tmp_path):
    out = tmp_path / "run"
    config = small_config(adversarial="0", latent="0")
    train(good, out, config, Duration(steps=1), encoder_weights=str(file), device="cpu")
    origin = RunFolder.open(out).plan.encoder_weights
    assert origin == read(file).origin
    assert load_generator(out)[2]["encoder_weights"]["sha256"] == origin.sha256
    assert str(tmp_path) not in json.dumps(load_generator(out)[2])


def test_a_run_that_never_came_to_a_checkpoint_is_resumed_without_the_file(
    good, file, tmp_path, monkeypatch
):
    """The loop dies before its first step; then the run is the same as one that did not."""

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    config, words = small_config(), {"encoder_weights": str(file), "device": "cpu"}
    train(good, tmp_path / "whole", config, Duration(steps=2), **words)
    with monkeypatch.context() as patch:
        patch.setattr("edgeinspect.training.loop.Trainer.train", die)
        with pytest.raises(RuntimeError, match="killed"):
            train(good, tmp_path / "halves", config, Duration(steps=2), **words)
    assert torch.equal(encoder_at_the_start(tmp_path / "halves")[QUERY], state_of()[QKV][:64])
    with pytest.raises(TrainingError, match="was not trained yet; go on with --resume"):
        load_generator(tmp_path / "halves")
    file.unlink()
    resume(tmp_path / "halves", device="cpu")
    ours, theirs = (encoder_at_the_start(tmp_path / name) for name in ("halves", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_weights_that_do_not_fit_leave_the_run_that_stood_there(good, file, tmp_path):
    out = tmp_path / "run"
    config = small_config(adversarial="0", latent="0")
    train(good, out, config, Duration(steps=1), device="cpu")
    before = sorted((p, p.stat().st_mtime_ns) for p in out.rglob("*"))
    save_file(state_of(embed_dim=128, num_heads=2), file)
    with pytest.raises(ConfigError, match=r"width of .* is 128, .* 64; use --preset nano"):
        train(
            good, out, config, Duration(steps=1), encoder_weights=str(file), device="cpu",
            force=True,
        )  # fmt: skip
    assert sorted((p, p.stat().st_mtime_ns) for p in out.rglob("*")) == before


@pytest.mark.parametrize("command", ["train", "fit"])
def test_the_command_line_says_what_does_not_fit_in_one_line(tmp_path, capsys, command):
    path = tmp_path / f"{NAME}.safetensors"
    save_file(state_of(patch_size=16), path)
    good = write_good(tmp_path / "good", n=44)
    out = ["--out", str(tmp_path / "run")] if command == "train" else [str(tmp_path / "b")]
    settings = [w for key, value in SMALL.items() for w in ("--set", f"{key}={value}")]
    with pytest.raises(SystemExit) as left:
        main([
            command, str(good), *out, "--target", "pixels", "--steps", "1", "--device", "cpu",
            *settings,
            "--encoder-weights", str(path),
        ])  # fmt: skip
    last = capsys.readouterr().err.splitlines()[-1]
    assert left.value.code == 2
    assert re.match(r"error: patch of .* is 16, that of the encoder 8; use --set patch=16", last)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["good", path.name]
