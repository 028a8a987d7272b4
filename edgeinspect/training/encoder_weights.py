"""What a new run's encoders start from in place of noise: a file of timm's, or one of its hub.

FILE or timm:NAME -> state dict -> `model.vit_weights` -> every encoder of the run
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import timm
from safetensors import SafetensorError
from timm.models import PretrainedCfg, load_state_dict
from torch import Tensor

from edgeinspect.config import GeneratorConfig
from edgeinspect.data.images import file_sha256
from edgeinspect.errors import TrainingError
from edgeinspect.model.vit_weights import count_blocks, translate_weights
from edgeinspect.suggestions import suggest, suggest_path
from edgeinspect.training.networks import Networks
from edgeinspect.training.run_folder import EncoderOrigin

__all__ = ["EncoderWeights", "read_encoder_weights", "start_encoders"]

_log = logging.getLogger(__name__)

HUB = "timm:"
SUFFIXES = (".safetensors", ".pth", ".pt")
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
    path = _fetch(source.removeprefix(HUB)) if is_fetched else Path(source)
    name = source if is_fetched else path.name
    theirs = _read(path)
    mean, std = _normalisation(name)
    tensors = translate_weights(theirs, config, mean=mean, std=std, name=name)
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


def _fetch(model: str) -> Path:
    """The file of a model that timm knows, from its hub or from what was fetched before."""
    from huggingface_hub import hf_hub_download  # comes with timm
    from huggingface_hub.utils import logging as hub_logging

    known = _known(model)
    if known is None or known.hf_hub_id is None:
        names = timm.list_pretrained(["vit_tiny_patch16_[23]*", "vit_small_patch16_[23]*"])
        raise TrainingError(f"timm has no weights named {model}", hint=suggest(model, names))
    level = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.ERROR)  # each of its retries would be a line
    try:
        return Path(hf_hub_download(known.hf_hub_id, "model.safetensors"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{HUB}{model} cannot be fetched ({type(error).__name__})",
            hint="fetch its model.safetensors where the hub can be reached, and use it here:"
            f" --encoder-weights {model}.safetensors",
        ) from error
    finally:
        hub_logging.set_verbosity(level)


def _read(path: Path) -> dict[str, Tensor]:
    """The state dict of a file, or of the checkpoint in it; no code of the file is run."""
    if not path.is_file():
        raise TrainingError(f"there is no file {path}", hint=suggest_path(path))
    if path.suffix not in SUFFIXES:
        raise TrainingError(
            f"encoder weights {path} are none of {', '.join(SUFFIXES)}",
            hint="save the state dict of the model as .safetensors",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about pickles that it then refuses
            state = load_state_dict(str(path), weights_only=True)
        return {key: value.float() for key, value in state.items()}
    except (OSError, EOFError, ValueError, RuntimeError, AttributeError, SafetensorError) as error:
        raise TrainingError(
            f"encoder weights {path} cannot be read: damaged, or more than tensors by name",
            hint="save the state dict of the model as .safetensors",
        ) from error


def _normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the pixels that a model was trained on, by its name."""
    model = re.sub(r"(-[0-9a-f]{8})?\.(safetensors|pth|pt)$", "", name.removeprefix(HUB))
    known = _known(model)
    if known is None:
        _log.warning(
            "timm has no model %s, so its pixels are taken to be normalised as (x - 0.5) / 0.5;"
            " if they are not, name the file as timm does, such as deit_tiny_patch16_224.pth",
            model,
        )
        return HALF, HALF
    return tuple(known.mean), tuple(known.std)


def _known(model: str) -> PretrainedCfg | None:
    """What timm knows of a model; None if it knows no such name, or not with this tag."""
    try:
        return timm.get_pretrained_cfg(model)
    except RuntimeError:
        return None
