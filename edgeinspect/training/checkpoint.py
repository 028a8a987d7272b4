"""Checkpoints: weights and optimisers as safetensors, the rest as JSON, whole or not at all.

    RUN/checkpoints/last/   all networks and optimisers: where --resume goes on
    RUN/checkpoints/best/   the generator alone, with the least error on held-out good images

A checkpoint is written beside the one it replaces and renamed. There is no random state to keep:
images and scales are functions of the seed and their number (`training.pictures`).
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from edgeinspect.config import RunConfig
from edgeinspect.errors import OutputError, TrainingError, first_line
from edgeinspect.model.generator import Generator
from edgeinspect.training.run_folder import RunFolder
from edgeinspect.writing import draft_folder, output_errors, write_synced

__all__ = [
    "TrainingState",
    "gone_without_checkpoint",
    "has_checkpoint",
    "load_generator",
    "load_last",
    "save_best",
    "save_last",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """Where a run stands: `step` steps are done; errors are as in `ValidationErrors`."""

    step: int
    best_step: int | None = None
    best_error: float | None = None
    error: float | None = None
    fill_error: float | None = None
    seconds: float = 0.0


def save_last(
    run: RunFolder,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    state: TrainingState,
) -> None:
    """Replace the checkpoint that a run resumes from. Raises: OutputError."""
    files = {f"{name}.safetensors": _weights(network) for name, network in networks.items()}
    files |= {f"optimiser_{name}.safetensors": _moments(o) for name, o in optimisers.items()}
    _replace(run.checkpoint("last"), files, state)


def save_best(run: RunFolder, generator: nn.Module, state: TrainingState) -> None:
    """Replace the checkpoint that is exported. Raises: OutputError."""
    _replace(run.checkpoint("best"), {"generator.safetensors": _weights(generator)}, state)


def load_last(
    run: RunFolder,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
) -> TrainingState:
    """Restore networks and optimisers in place. Raises: TrainingError if there is nothing whole."""
    folder = _whole(run, "last")
    with _reading(folder):
        for name, network in networks.items():
            network.load_state_dict(load_file(folder / f"{name}.safetensors"))
        for name, optimiser in optimisers.items():
            _restore_moments(optimiser, load_file(folder / f"optimiser_{name}.safetensors"))
    return _read_state(folder)


def has_checkpoint(run: RunFolder, name: str = "last") -> bool:
    """Whether there is a checkpoint of this name to go on from."""
    return any((place / "state.json").is_file() for place in _places(run, name))


@contextmanager
def gone_without_checkpoint(run: RunFolder) -> Iterator[None]:
    """A new run that cannot be written, before there is anything to go on from, leaves no folder.

    At most two minutes of training are lost.
    """
    try:
        yield
    except OutputError:
        if not has_checkpoint(run):
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def load_generator(folder: Path) -> tuple[Generator, RunConfig, dict[str, Any]]:
    """The best generator of a run, ready for inference, with its settings and provenance.

    Raises: TrainingError if the folder is no run, or holds no checkpoint yet.
    """
    run = RunFolder.open(folder)
    config = run.config
    checkpoint = _whole(run, "best" if has_checkpoint(run, "best") else "last")
    generator = Generator(config.generator)
    with _reading(checkpoint):
        weights = load_file(checkpoint / "generator.safetensors")
        generator.load_state_dict({k.removeprefix("generator."): v for k, v in weights.items()})
    state = _read_state(checkpoint)
    n_done = _steps_done(run, state)
    if n_done == 0:
        raise TrainingError(f"run {folder} was not trained yet", hint="go on with --resume")
    if n_done < run.plan.n_steps:
        _log.warning(
            "run %s stopped at step %d of %d; go on with: edgeinspect train DATA --out %s --resume",
            *(folder, n_done, run.plan.n_steps, folder),
        )
    provenance = {**run.provenance(), "n_steps_done": n_done, "training": asdict(state)}
    return generator.eval(), config, provenance


@contextmanager
def _reading(checkpoint: Path) -> Iterator[None]:
    """What is not whole, or not of this version's networks, becomes one line."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, SafetensorError) as error:
        raise TrainingError(
            f"checkpoint {checkpoint} cannot be read: {first_line(error)}",
            hint="train anew with --force, if it was made by another version or is damaged",
        ) from error


def _steps_done(run: RunFolder, best: TrainingState) -> int:
    """Of the run, as far as it is known; a start that was never beaten may be the best of many."""
    return max(best.step, _read_state(_whole(run, "last")).step if has_checkpoint(run) else 0)


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}


def _moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {
        f"{i}.{key}": torch.as_tensor(value).detach().cpu().contiguous()
        for i, values in state.items()
        for key, value in values.items()
    }


def _restore_moments(optimiser: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    plain = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in moments.items():
        i, key = name.split(".", 1)
        state.setdefault(int(i), {})[key] = value
    plain["state"] = state
    optimiser.load_state_dict(plain)


def _replace(folder: Path, files: dict[str, dict[str, Tensor]], state: TrainingState) -> None:
    """Write a new folder, put the old one aside, rename the new one, drop the old one."""
    with draft_folder(folder, aside=_aside(folder)) as draft, output_errors(folder):
        for name, tensors in files.items():
            write_synced(draft / name, to_bytes(tensors))
        write_synced(draft / "state.json", (json.dumps(asdict(state), indent=1) + "\n").encode())


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old")


def _places(run: RunFolder, name: str) -> tuple[Path, Path]:
    """The checkpoint, and where the one before it is for the moment between two renames."""
    folder = run.checkpoint(name)
    return folder, _aside(folder)


def _whole(run: RunFolder, name: str) -> Path:
    for place in _places(run, name):
        if (place / "state.json").is_file():
            return place
    raise TrainingError(
        f"run {run.path} has no checkpoint yet", hint="train it longer, or with --force anew"
    )


def _read_state(folder: Path) -> TrainingState:
    with _reading(folder):
        return TrainingState(**json.loads((folder / "state.json").read_text()))
