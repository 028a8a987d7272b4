"""A frozen backbone of timm, whose features the generator reconstructs (target `features`).

Trained on other pictures, it gives features that weak marks change more than they change pixels.
It is never trained here; its weights come from outside (`training.backbone_weights`)
and travel in checkpoints and graphs from then on.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
from safetensors.torch import save_file
from torch import Tensor, nn

from edgeinspect.errors import ConfigError, first_line

__all__ = ["Backbone", "feature_levels"]


class Backbone(nn.Module):
    """Images (B, 3, H, W) in [0, 1] -> features (B, C, H / stride, W / stride), one a stride.

    Raises: ConfigError for a name that timm does not know, or that lacks a stride.
    """

    def __init__(self, name: str, strides: Sequence[int]) -> None:
        super().__init__()
        self.name = name
        wanted = sorted(strides)  # timm gives them in its own order
        self.levels = feature_levels(name, wanted)
        self.network: Any = timm.create_model(name, features_only=True, out_indices=self.levels)
        self.order = [wanted.index(stride) for stride in strides]
        facts: Any = self.network.feature_info
        self.channels = [int(facts.channels()[place]) for place in self.order]
        self.requires_grad_(False).eval()

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and spread of the pixels that the weights were trained on, by channel."""
        facts = self.network.pretrained_cfg
        return tuple(facts["mean"]), tuple(facts["std"])

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take weights by the names of timm's whole model; timm knows which layers it kept."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "weights.safetensors"
            save_file({key: value.contiguous() for key, value in weights.items()}, file)
            with _quiet():
                loaded = timm.create_model(
                    self.name,
                    features_only=True,
                    out_indices=self.levels,
                    pretrained=True,
                    pretrained_cfg_overlay={"file": str(file)},
                )
        self.network.load_state_dict(loaded.state_dict())

    def train(self, mode: bool = True) -> Backbone:
        """Stays as it is: batch norms keep the statistics that came with the weights."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        mean, std = (images.new_tensor(v)[:, None, None] for v in self.normalisation)
        levels = self.network((images - mean) / std)
        return [levels[place] for place in self.order]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without timm's warning that the layers behind the last level are not needed."""
    logger = logging.getLogger("timm")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def feature_levels(name: str, strides: Sequence[int]) -> list[int]:
    """Which of a backbone's levels of features, as timm numbers them, have these strides.

    Raises: ConfigError for a name that timm does not know, or that lacks a stride.
    """
    offered = _offered_strides(name)
    missing = [stride for stride in strides if stride not in offered]
    if missing:
        raise ConfigError(
            f"backbone {name} has features every {', '.join(map(str, dict.fromkeys(offered)))} px,"
            f" none every {missing[0]} px"
        )
    # Of several levels of one stride, as a vision transformer's are, the deepest.
    return [len(offered) - 1 - offered[::-1].index(stride) for stride in strides]


def _offered_strides(name: str) -> list[int]:
    try:
        model: Any = timm.create_model(name, features_only=True)
    except (RuntimeError, AttributeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"timm has no backbone {name} that gives features: {first_line(error)}",
            hint="see timm.list_models(); the default is tf_efficientnet_lite0",
        ) from error
    return [int(stride) for stride in model.feature_info.reduction()]
