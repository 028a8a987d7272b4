"""anomalib's models, untrained, through its own export: what `benchmarks.peers` measures.

No weights are fetched: backbones are built as timm draws them, and statistics, banks and scales
are random numbers of the shape that training would leave. Speed alone is meant.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

BANK = 20_480  # vectors that PatchCore compares with
N_FITTED = 2  # pictures that PaDiM's Gaussians are fitted to; how many changes no time
OPSET = 18  # what torch writes: a conversion to an older one is not tried


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A model of `anomalib.models`.

    Attributes:
        kind: its class. arguments: of the class, as plain values.
        size_px: what its own resize brings the picture to; None is the picture's own size.
        train: sets what training would, given the model and pictures (n, 3, H, W).
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    size_px: int | None = None
    train: Callable[[Any, Any], None] | None = None


def _fill_bank(model: Any, pictures: Any) -> None:
    """A memory bank of random vectors as wide as the embedding."""
    import torch

    width = model.train()(pictures[:1]).shape[-1]
    model.embedding_store.clear()
    model.memory_bank = torch.rand(BANK, width)


def _fit_gaussians(model: Any, pictures: Any) -> None:
    model.train()(pictures)
    model.fit()


def _resnet(name: str) -> dict[str, Any]:
    return {"backbone": name, "pre_trained": False}


PEERS = {
    "PatchCore WideResNet-50": Peer(
        kind="Patchcore", arguments=_resnet("wide_resnet50_2"), train=_fill_bank
    ),
    "PatchCore ResNet-18": Peer(kind="Patchcore", arguments=_resnet("resnet18"), train=_fill_bank),
    "PaDiM ResNet-18": Peer(kind="Padim", arguments=_resnet("resnet18"), train=_fit_gaussians),
    "FastFlow ResNet-18": Peer(kind="Fastflow", arguments=_resnet("resnet18")),
    "EfficientAD-S": Peer(kind="EfficientAd", arguments={"model_size": "small"}),
    "GANomaly": Peer(kind="Ganomaly"),
    "DRAEM": Peer(kind="Draem"),
    # Its own default is 392 px; patches of 14 px fit 252, the nearest to everybody else's 256.
    "Dinomaly base": Peer(kind="Dinomaly", size_px=252),
}


def export_peer(peer: Peer, folder: Path, size: int) -> Path:
    """The model as ONNX, for one picture (1, 3, size, size) in [0, 1]; returns its file.

    Raises: whatever anomalib and torch's exporter do.
    """
    import torch

    torch.manual_seed(0)
    with _untrained_backbones():
        model = _build(peer, folder)
    if peer.train is not None:
        with torch.no_grad():
            peer.train(model.model, torch.rand(N_FITTED, 3, size, size))
    path: Path = model.eval().to_onnx(
        folder, input_size=(size, size), dynamic_axes={}, opset_version=OPSET
    )
    return path


def to_openvino(onnx: Path, folder: Path) -> Path:
    """The same model as OpenVINO's files, as anomalib's `to_openvino` makes them of its ONNX."""
    openvino: Any = importlib.import_module("openvino")
    path = folder / "model.xml"
    openvino.save_model(openvino.convert_model(onnx), path, compress_to_fp16=False)
    return path


def _build(peer: Peer, folder: Path) -> Any:
    kind = getattr(importlib.import_module("anomalib.models"), peer.kind)
    arguments = dict(peer.arguments)
    if peer.size_px is not None:
        size = (peer.size_px, peer.size_px)
        arguments["pre_processor"] = kind.configure_pre_processor(size, peer.size_px)
    if peer.kind == "Draem":  # textures for training, which it would fetch
        textures = folder / "textures"
        textures.mkdir(parents=True)
        arguments["dtd_dir"] = textures
    return kind(**arguments)


def _untrained_backbones() -> Any:
    """timm builds what it is asked for without weights, whatever a model asks."""
    timm: Any = importlib.import_module("timm")
    create = timm.create_model

    def untrained(*args: Any, **kwargs: Any) -> Any:
        return create(*args, **{**kwargs, "pretrained": False})

    return mock.patch.object(timm, "create_model", untrained)
