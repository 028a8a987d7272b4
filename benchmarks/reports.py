"""What the scripts write: where, on what machine, and tables of Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeinspect.doctor import read_machine

RESULTS = Path(__file__).parent / "results"


def hardware() -> dict[str, Any]:
    """What a report says of the machine that it was measured on."""
    machine = read_machine()
    return {"cpu": machine.cpu, "n_cores": machine.n_cores, "system": machine.system}


def with_others(
    rows: list[dict[str, Any]], file: Path, *, by: tuple[str, ...] = ("part",)
) -> list[dict[str, Any]]:
    """Rows, after those of a report that were not measured now; `by` tells them apart."""
    return joined(rows, json.loads(file.read_text())["rows"] if file.exists() else [], by=by)


def joined(
    rows: list[dict[str, Any]], earlier: list[dict[str, Any]], *, by: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Earlier rows that were not measured again, then rows."""
    measured = {tuple(row[key] for key in by) for row in rows}
    return [row for row in earlier if tuple(row[key] for key in by) not in measured] + rows


def table(head: str, rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table; `head` is its first line, `| like | this |`."""
    return [
        head,
        "|" + " --- |" * (head.count("|") - 1),
        *("| " + " | ".join(r) + " |" for r in rows),
    ]


def figure(value: float | None) -> str:
    """Three decimals; an empty cell for None."""
    return "" if value is None else f"{value:.3f}"
