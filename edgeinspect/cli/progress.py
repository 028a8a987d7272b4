"""How long work looks on a terminal. For `cli` modules, inside their functions: it imports rich."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from edgeinspect.cli.output import show_json
from edgeinspect.progress import OnProgress

if TYPE_CHECKING:
    from edgeinspect.training.checkpoint import TrainingState
    from edgeinspect.training.loop import Progress

__all__ = ["TrainingProgress", "step_bars"]


@contextmanager
def step_bars() -> Iterator[OnProgress]:
    """A bar a step on a terminal's stderr; silence elsewhere."""
    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done)

        yield advance


class TrainingProgress:
    """A bar with rate and time left, lines when piped. Call it after each step of training."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._is_live = console.is_terminal
        self._bar = Bar(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[error]}"),
            console=console,
            disable=not self._is_live,
        )
        self._task = self._bar.add_task("training", total=None, rate="", error="")

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        rate = f"{progress.images_per_s:.1f} images/s"
        error = ""
        if progress.error is not None and progress.fill_error is not None:
            error = (
                f"held-out error {progress.error:.4f}"
                f" (without the generator {progress.fill_error:.4f})"
            )
        self._bar.update(
            self._task, total=progress.n_steps, completed=progress.step, rate=rate, error=error
        )
        every = max(1, progress.n_steps // 20)
        if not self._is_live and (progress.step % every == 0 or progress.step == progress.n_steps):
            left = f"{progress.seconds_left / 60:.1f} min left"
            line = (
                f"step {progress.step}/{progress.n_steps}, loss {progress.loss:.4f}, {rate}, {left}"
            )
            typer.echo(f"{line}, {error}" if error else line, err=True)

    def show_result(self, state: TrainingState, out: Path, *, as_json: bool) -> None:
        """Say what came of it, and what to type next."""
        if os.environ.get("RANK", "0") != "0":
            return  # torchrun: the first process speaks
        if as_json:
            show_json({"run": str(out), **asdict(state)})
            return
        typer.echo(
            f"{out}: {state.step} steps in {state.seconds / 60:.1f} min; held-out error"
            f" {state.best_error:.4f} at step {state.best_step}, without the generator"
            f" {state.fill_error:.4f}"
        )
        typer.echo(f"next: edgeinspect export {out} part.bundle")
