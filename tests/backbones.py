"""The backbone that tests share: timm's own for tests, 0.1 M parameters, random weights."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

BACKBONE = "test_efficientnet"
FEATURES = {"backbone": BACKBONE, "feature_strides": "8,16"}


def write_backbone(path: Path, *, seed: int = 0, name: str = BACKBONE) -> Path:
    """A file of weights whose batch norms have seen something."""
    torch.manual_seed(seed)
    model = timm.create_model(name)
    with torch.no_grad():
        model.train()(torch.rand(4, 3, 64, 64))
    save_file(model.state_dict(), path)
    return path
