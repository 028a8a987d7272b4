"""`edgeinspect train`: good pictures in, a run folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

__all__ = ["train"]

DEFAULT_MINUTES = 10.0


def train(
    data: Annotated[
        Path, typer.Argument(help="Folder of good pictures, or a data set with train/good.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    preset: Annotated[
        str, typer.Option(help="Size of the model: nano, tiny, edge or paper.")
    ] = "tiny",
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads it at run time
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    minutes: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Length of training in minutes (10 if no length is given)."),
    ] = None,
    steps: Annotated[Optional[int], typer.Option(help="Length in steps.")] = None,  # noqa: UP045
    epochs: Annotated[Optional[float], typer.Option(help="Length in epochs.")] = None,  # noqa: UP045
    tile: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--tile/--no-tile",
            help="Cut pictures into square tiles, or squash them (default: by their shape).",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a model on good pictures.

    Example: edgeinspect train parts/ --out run --preset tiny --minutes 20
    """
    from edgeinspect.cli.progress import TrainingProgress
    from edgeinspect.cli.settings import read_settings
    from edgeinspect.config import ResizeRule
    from edgeinspect.training import train as training
    from edgeinspect.training.planning import Duration

    with TrainingProgress() as progress:
        if resume:
            state = training.resume(out, device=device, on_step=progress)
        else:
            config = read_settings(preset, [f"optimiser.seed={seed}", *(settings or [])])
            is_open = minutes is None and steps is None and epochs is None
            length = Duration(
                minutes=DEFAULT_MINUTES if is_open else minutes, steps=steps, epochs=epochs
            )
            resize = {None: None, True: ResizeRule.TILE, False: ResizeRule.SQUASH}[tile]
            state = training.train(
                data, out, config, length, resize=resize, device=device, force=force,
                on_step=progress,
            )  # fmt: skip
    progress.show_result(state, out, as_json=as_json)
