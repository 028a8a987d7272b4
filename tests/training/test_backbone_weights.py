"""Weights of the backbone of feature targets: what is read, refused and recorded."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util

import huggingface_hub
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from edgeinspect.config import Equalisation, ResizeRule
from edgeinspect.data.loading import load_many
from edgeinspect.data.synthetic.surfaces import Finish, draw_surface, render_surface
from edgeinspect.errors import TrainingError
from edgeinspect.model import memory as memory_module
from edgeinspect.model.backbone import Backbone
from edgeinspect.model.equalise import equalise
from edgeinspect.model.generator import Generator
from edgeinspect.training.backbone_weights import (
    PACKAGE,
    PACKAGED,
    prepare_targets,
    read_backbone_weights,
)
from edgeinspect.training.pictures import as_tensor
from edgeinspect.training.planning import make_plan
from edgeinspect.training.run_folder import RunFolder
from tests.backbones import BACKBONE, write_backbone
from tests.data.picture_files import made_picture, write
from tests.training.settings import feature_config, write_good

HUB_NAME = f"timm:{BACKBONE}"


def test_what_was_read_is_told(backbone_file):
    weights = read_backbone_weights(str(backbone_file), BACKBONE)
    assert weights.origin.file == backbone_file.name
    assert weights.origin.sha256 == hashlib.sha256(backbone_file.read_bytes()).hexdigest()
    assert weights.tensors.keys() == load_file(backbone_file).keys()


def test_weights_of_another_model_are_refused_with_what_does_not_fit(tmp_path):
    other = write_backbone(tmp_path / "other.safetensors", name="test_resnet")
    message = r"other\.safetensors are not those of test_efficientnet: .* missing or of another"
    with pytest.raises(TrainingError, match=rf"{message} shape, the first is .*; set backbone="):
        read_backbone_weights(str(other), BACKBONE)


def test_weights_of_another_shape_are_refused(tmp_path, backbone_file):
    weights = load_file(backbone_file)
    weights["conv_stem.weight"] = weights["conv_stem.weight"][:-1].clone()
    save_file(weights, tmp_path / "narrow.safetensors")
    with pytest.raises(TrainingError, match=r": 1 tensors .*, the first is conv_stem\.weight"):
        read_backbone_weights(str(tmp_path / "narrow.safetensors"), BACKBONE)


def test_weights_of_a_deeper_model_of_the_same_kind_are_refused(tmp_path, backbone_file):
    weights = load_file(backbone_file)
    more = {"blocks.0.9.conv.weight": torch.zeros(1), "classifier.weight": torch.zeros(2, 3)}
    save_file({**weights, **more}, tmp_path / "deeper.safetensors")
    message = r": 1 tensors have no place there, the first is blocks\.0\.9\.conv\.weight; set"
    with pytest.raises(TrainingError, match=message):
        read_backbone_weights(str(tmp_path / "deeper.safetensors"), BACKBONE)


@pytest.mark.parametrize("name", ["classifier.weight", "an_extra_head.weight"])
def test_weights_of_a_classifier_do_no_harm(tmp_path, backbone_file, name):
    save_file({**load_file(backbone_file), name: torch.zeros(2, 3)}, tmp_path / "all.safetensors")
    assert name in read_backbone_weights(str(tmp_path / "all.safetensors"), BACKBONE).tensors


def test_a_file_without_counts_of_batches_fits(tmp_path, backbone_file):
    weights = load_file(backbone_file)
    kept = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    save_file(kept, tmp_path / "kept.safetensors")
    read = read_backbone_weights(str(tmp_path / "kept.safetensors"), BACKBONE)
    Backbone(BACKBONE, (8,)).load(read.tensors)


@pytest.mark.parametrize("source", [None, HUB_NAME])
def test_weights_of_no_package_are_fetched(monkeypatch, backbone_file, source):
    asked = []

    def fetch(repository: str, name: str) -> str:
        asked.append((repository, name))
        return str(backbone_file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    origin = read_backbone_weights(source, BACKBONE).origin
    assert asked == [("timm/test_efficientnet.r160_in1k", "model.safetensors")]
    assert origin.file == HUB_NAME
    assert origin.sha256 == hashlib.sha256(backbone_file.read_bytes()).hexdigest()


def test_weights_that_cannot_be_fetched_are_one_line_with_the_way_out(monkeypatch):
    def fetch(*_: str) -> str:
        raise LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    message = rf"{HUB_NAME} cannot be fetched .* --backbone-weights {BACKBONE}.safetensors"
    with pytest.raises(TrainingError, match=message) as caught:
        read_backbone_weights(None, BACKBONE)
    assert "\n" not in str(caught.value)


def test_a_name_that_timm_does_not_know_gets_the_near_one():
    with pytest.raises(TrainingError, match=r"no weights named .*; did you mean test_efficientnet"):
        read_backbone_weights("timm:test_efficientnet.r160_in2k", BACKBONE)


def test_a_package_without_its_file_is_refused(monkeypatch, tmp_path):
    spec = importlib.machinery.ModuleSpec(PACKAGE, None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(TrainingError, match=r"does not carry the one file .*--backbone-weights"):
        read_backbone_weights(None, PACKAGED)


def test_a_new_run_gets_its_backbone_and_the_whitening_of_its_pictures(tmp_path, backbone_file):
    config = feature_config("features")
    good = write_good(tmp_path / "good")
    plan = make_plan(good, config, resize=ResizeRule.SQUASH)
    weights = read_backbone_weights(str(backbone_file), BACKBONE)
    generator, same = Generator(config.generator), Generator(config.generator)
    for one in (generator, same):
        prepare_targets(one, weights, RunFolder(tmp_path / "run", plan))
    ours, theirs = generator.targets.state_dict(), same.targets.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    stem = "conv_stem.weight"
    assert torch.equal(ours[f"backbone.network.{stem}"], weights.tensors[stem])
    assert not torch.equal(ours["whiten.matrix"], torch.eye(generator.targets.width))


def test_targets_are_prepared_from_images_that_are_spread_over_the_tiles(
    tmp_path, backbone_file, monkeypatch
):
    good = tmp_path / "good"
    paths = [write(good / f"{i}.png", made_picture(64, 150 + 50 * i, seed=i)) for i in range(6)]
    config = feature_config("features", holdout="0.2")
    run = RunFolder(tmp_path / "run", make_plan(good, config, resize=ResizeRule.TILE))
    training = [path for path in paths if path in run.training_paths()]
    tiles = as_tensor(load_many(training, run.config.preprocess).tiles)
    generator = Generator(config.generator)
    given: list[torch.Tensor] = []
    n_given = []

    def fit(batches, held_out, *, n_images):
        given.extend(batches)
        n_given.append(n_images)

    monkeypatch.setattr(generator.targets, "fit", fit)
    monkeypatch.setattr(memory_module, "MOST_CELLS", 10 * generator.targets.memories[0].n_side ** 2)
    prepare_targets(generator, read_backbone_weights(str(backbone_file), BACKBONE), run)
    assert n_given == [10]
    assert torch.equal(torch.cat(given), tiles[np.linspace(0, len(tiles) - 1, 10).round()])


@pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None,
    reason=f"{PACKAGE}, of the extra `dev`, is not installed",
)
def test_the_packages_weights_see_two_pictures_of_a_surface_as_alike():
    """Trained: of the same mean and spread, their surface still tells them apart from others."""
    pictures = [picture for finish in Finish for picture in two_of(finish)]
    images = equalise(as_tensor(np.stack(pictures)), Equalisation.SPREAD)
    weights = read_backbone_weights(None, PACKAGED)
    backbone = Backbone(PACKAGED, (32,))
    backbone.load(weights.tensors)
    with torch.no_grad():
        features = backbone(images)[0].mean(dim=(2, 3))
    features -= features.mean(dim=0)
    alike = F.cosine_similarity(features[:, None], features[None], dim=-1)
    same = torch.block_diag(*[torch.ones(2, 2)] * len(Finish)) > 0
    assert weights.origin.file == PACKAGE
    assert alike[same].min() > 0.7  # random weights: below 0.5
    assert alike[~same].max() < 0.5


def two_of(finish: Finish) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    surface = draw_surface(finish, rng)
    return [render_surface(surface, rng, 128) for _ in range(2)]
