"""metrics.jsonl: what a run did, one JSON object a line."""

from __future__ import annotations

import json
import math
from typing import Any

from edgeinspect.training.run_folder import RunFolder
from edgeinspect.training.validation import ValidationErrors
from edgeinspect.writing import output_errors, write_atomically

__all__ = ["Journal"]

EVERY = 10


class Journal:
    """Writes means over 10 steps, and every validation.

    Opened for a resumed run it drops the lines past the checkpoint, so that the file is that of
    a run which never stopped, but that the first means after it are of fewer than 10 steps. In
    processes other than the first it is not `active`: it is silent.
    """

    def __init__(self, run: RunFolder, *, keep_to: int, active: bool = True) -> None:
        self.path = run.metrics_path
        self.active = active
        self._sums: dict[str, float] = {}
        self._n = 0
        if active:
            kept = [line for line in self._lines() if _step_of(line) <= keep_to]
            write_atomically(self.path, b"".join(kept))

    def step(self, step: int, losses: dict[str, float]) -> None:
        """Add one step's losses; every tenth step a line is written."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._n += 1
        if step % EVERY == 0:
            means = {name: total / self._n for name, total in self._sums.items()}
            self._write({"step": step, **means})
            self._sums, self._n = {}, 0

    def validation(self, step: int, found: ValidationErrors) -> None:
        """Write the errors on held-out images."""
        self._write({"step": step, "holdout_error": found.errors, "fill_error": found.fill_errors})

    def _write(self, record: dict[str, Any]) -> None:
        if self.active:
            with output_errors(self.path), self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def _lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines(keepends=True) if self.path.is_file() else []


def _step_of(line: bytes) -> float:
    """Infinite where the line is not whole, as after a power cut."""
    try:
        return float(json.loads(line)["step"]) if line.endswith(b"\n") else math.inf
    except (ValueError, LookupError, TypeError):
        return math.inf
