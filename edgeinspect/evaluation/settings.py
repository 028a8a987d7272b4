"""How an evaluation is done."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EvaluationSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """`batch` counts tiles a call; `threads` None leaves it to the runtime."""

    runtime: str = "auto"
    threads: int | None = None
    batch: int = 8
    equalised: bool = True
    n_rows_per_class: int = 5
    n_resamples: int = 1000
    seed: int = 0
