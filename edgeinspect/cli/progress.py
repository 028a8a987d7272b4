"""How training looks on a terminal: a bar with rate and time left; plain lines when piped."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from edgeinspect.training.checkpoint import TrainingState
    from edgeinspect.training.loop import Progress

__all__ = ["TrainingProgress"]


class TrainingProgress:
    """Call it after each step; enter it around the training."""

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
            error = f"held-out error {progress.error:.4f} (smooth fill {progress.fill_error:.4f})"
        self._bar.update(
            self._task, total=progress.n_steps, completed=progress.step, rate=rate, error=error
        )
        every = max(1, progress.n_steps // 20)
        if not self._is_live and (progress.step % every == 0 or progress.step == progress.n_steps):
            left = f"{progress.seconds_left / 60:.1f} min left"
            print(
                f"step {progress.step}/{progress.n_steps}, loss {progress.loss:.4f},"
                f" {rate}, {left}" + (f", {error}" if error else ""),
                file=sys.stderr,
                flush=True,
            )

    def show_result(self, state: TrainingState, out: Path, *, as_json: bool) -> None:
        """Say what came of it, and what to type next."""
        if os.environ.get("RANK", "0") != "0":
            return  # torchrun: the first process speaks
        if as_json:
            typer.echo(json.dumps({"run": str(out), **asdict(state)}))
            return
        typer.echo(
            f"{out}: {state.step} steps in {state.seconds / 60:.1f} min; held-out error"
            f" {state.best_error:.4f} at step {state.best_step}, smooth fill {state.fill_error:.4f}"
        )
        typer.echo(f"next: edgeinspect export {out} part.bundle")
