"""What a new run's encoders start from in place of noise: a file of timm's, or one of its hub.

FILE or timm:NAME -> state dict -> `model.vit_weights` -> every encoder of the run
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from edgeinspect.config import GeneratorConfig
from edgeinspect.digests import file_sha256
from edgeinspect.model.vit_weights import count_blocks, translate_weights
from edgeinspect.training.networks import Networks
from edgeinspect.training.run_folder import EncoderOrigin
from edgeinspect.training.weight_files import HUB, fetch_weights, find_known, read_weights

__all__ = ["EncoderWeights", "read_encoder_weights", "start_encoders"]

_log = logging.getLogger(__name__)

OPTION = "--encoder-weights"
SIMILAR = ("vit_tiny_patch16_[23]*", "vit_small_patch16_[23]*")
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderWeights:
    """Tensors by the names of `Encoder`, and where they come from."""

    tensors: Mapping[str, Tensor]
    origin: EncoderOrigin


def read_encoder_weights(source: str, config: GeneratorConfig) -> EncoderWeights:
    """Read what an encoder of `config` can start from.

    Args:
        source: a file (.safetensors, .pth, .pt) with the state dict of a timm VisionTransformer,
            or `timm:NAME`, whose file is fetched from the hub.
    Raises: TrainingError if it cannot be had or read; what `translate_weights` raises.
    """
    is_fetched = source.startswith(HUB)
    path = Path(source)
    if is_fetched:
        path = fetch_weights(source.removeprefix(HUB), option=OPTION, similar=SIMILAR)
    name = source if is_fetched else path.name
    theirs = read_weights(path, what="encoder weights")
    known = find_known(_model_of(name))
    mean, std = (HALF, HALF) if known is None else (tuple(known.mean), tuple(known.std))
    tensors = translate_weights(theirs, config, mean=mean, std=std, name=name)
    if known is None:
        _warn_of_guess(name)
    origin = EncoderOrigin(
        file=name,
        sha256=file_sha256(path),
        n_blocks=config.depth,
        n_blocks_in_file=count_blocks(theirs),
        mean=mean,
        std=std,
    )
    return EncoderWeights(tensors=tensors, origin=origin)


def start_encoders(networks: Networks, weights: EncoderWeights) -> None:
    """Put the weights into the generator's encoder, and the latent encoder if there is one."""
    for encoder in (networks.reconstructor.generator.encoder, networks.latent_encoder):
        if encoder is not None:
            encoder.load_state_dict({**encoder.state_dict(), **weights.tensors})
    origin = weights.origin
    _log.info(
        "the encoder starts from the first %d of %d blocks of %s",
        origin.n_blocks,
        origin.n_blocks_in_file,
        origin.file,
    )


def _model_of(name: str) -> str:
    """The name of timm's model in that of a file, or of a source of its hub."""
    return re.sub(r"(-[0-9a-f]{8})?\.(safetensors|pth|pt)$", "", name.removeprefix(HUB))


def _warn_of_guess(name: str) -> None:
    """A model's name says how the pixels were normalised that it was trained on."""
    _log.warning(
        "timm has no model %s, so its pixels are taken to be normalised as (x - 0.5) / 0.5;"
        " if they are not, name the file as timm does, such as deit_tiny_patch16_224.pth",
        _model_of(name),
    )
