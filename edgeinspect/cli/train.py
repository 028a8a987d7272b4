"""`edgeinspect train`: good pictures in, a run folder out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from edgeinspect.cli.options import (
    AsJson,
    BackboneWeights,
    Device,
    EncoderWeights,
    Preset,
    Seed,
    Settings,
    Target,
    Tile,
)

__all__ = ["train"]

_log = logging.getLogger(__name__)

DEFAULT_MINUTES = 10.0
WITH_RESUME = frozenset({"data", "out", "resume", "device", "as_json"})


def train(
    context: typer.Context,
    data: Annotated[
        Path, typer.Argument(help="Folder of good pictures, or a data set with train/good.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    preset: Preset = None,
    target: Target = "features",
    settings: Settings = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            help=f"Length in minutes.  [default: {DEFAULT_MINUTES:g}, if none is given]",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Length in steps.")] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", help="Length in epochs.")] = None,
    tile: Tile = None,
    encoder_weights: EncoderWeights = None,
    backbone_weights: BackboneWeights = None,
    device: Device = "auto",
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on good pictures.

    Example: edgeinspect train parts/ --out run --minutes 20
    """
    from edgeinspect.cli.progress import TrainingProgress
    from edgeinspect.cli.settings import read_settings, resize_rule
    from edgeinspect.training import train as training
    from edgeinspect.training.planning import Duration

    with TrainingProgress() as progress:
        if resume:
            _warn_of_ignored(context)
            state = training.resume(out, data=data, device=device, on_step=progress)
        else:
            config = read_settings(preset, settings, target=target, seed=seed)
            is_open = minutes is None and steps is None and epochs is None
            length = Duration(
                minutes=DEFAULT_MINUTES if is_open else minutes, steps=steps, epochs=epochs
            )
            state = training.train(
                data, out, config, length, resize=resize_rule(tile),
                encoder_weights=encoder_weights, backbone_weights=backbone_weights,
                device=device, force=force, on_step=progress,
            )  # fmt: skip
    progress.show_result(state, out, as_json=as_json)


def _warn_of_ignored(context: typer.Context) -> None:
    """Name the options that a resumed run, which is the same run, does not follow."""
    typed = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in WITH_RESUME
        and (source := context.get_parameter_source(str(parameter.name))) is not None
        and source.name == "COMMANDLINE"
    ]
    if typed:
        _log.warning(
            "a resumed run keeps the settings and the length that it was started with: %s changed"
            " nothing",
            ", ".join(typed),
        )
