"""Weights that others trained: files of timm's models, and its hub.

Serves what a run may start from: the encoder (`encoder_weights`) and the backbone of feature
targets (`backbone_weights`).
"""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

import timm
from safetensors import SafetensorError
from timm.models import PretrainedCfg, load_state_dict
from torch import Tensor

from edgeinspect.errors import TrainingError
from edgeinspect.suggestions import suggest, suggest_path

__all__ = ["HUB", "SUFFIXES", "fetch_weights", "find_known", "read_weights"]

HUB = "timm:"
SUFFIXES = (".safetensors", ".pth", ".pt")

_UNREADABLE = (  # what a file can make its readers raise; torch takes any text for a pickle
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    AttributeError,
    LookupError,
    struct.error,
    SafetensorError,
)


def fetch_weights(model: str, *, option: str, similar: Sequence[str]) -> Path:
    """The file of a model that timm knows, from its hub or from what was fetched before.

    Args:
        option: of the command line, which takes the file as well.
        similar: patterns of models that would do, for a name that is not known.
    Raises: TrainingError if timm does not know the model, or the hub cannot be reached.
    """
    from huggingface_hub import hf_hub_download  # comes with timm
    from huggingface_hub.utils import logging as hub_logging

    known = find_known(model)
    if known is None or known.hf_hub_id is None:
        names = timm.list_pretrained(list(similar))
        raise TrainingError(f"timm has no weights named {model}", hint=suggest(model, names))
    level = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.ERROR)  # each of its retries would be a line
    try:
        return Path(hf_hub_download(known.hf_hub_id, "model.safetensors"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{HUB}{model} cannot be fetched ({type(error).__name__})",
            hint="fetch its model.safetensors where the hub can be reached, and use it here:"
            f" {option} {model}.safetensors",
        ) from error
    finally:
        hub_logging.set_verbosity(level)


def read_weights(path: Path, *, what: str) -> dict[str, Tensor]:
    """The state dict of a file, or of the checkpoint in it; no code of the file is run.

    Raises: TrainingError, about `what`.
    """
    if not path.is_file():
        hint = suggest_path(path, keep=Path.is_file)
        raise TrainingError(f"there is no file {path}", hint=hint)
    if path.suffix not in SUFFIXES:
        raise TrainingError(
            f"{what} {path} are none of {', '.join(SUFFIXES)}",
            hint="save the state dict of the model as .safetensors",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about pickles that it then refuses
            state = load_state_dict(str(path), weights_only=True)
        return {key: value.float() for key, value in state.items()}
    except _UNREADABLE as error:
        raise TrainingError(
            f"{what} {path} cannot be read: damaged, or more than tensors by name",
            hint="save the state dict of the model as .safetensors",
        ) from error


def find_known(model: str) -> PretrainedCfg | None:
    """What timm knows of a model; None if it knows no such name, or not with this tag."""
    try:
        return timm.get_pretrained_cfg(model)
    except RuntimeError:
        return None
