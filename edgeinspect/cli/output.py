"""What commands print: JSON for machines, fields and tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from edgeinspect.numbers import json_plain

__all__ = ["show_fields", "show_json", "show_table"]


def show_json(plain: Mapping[str, Any]) -> None:
    """One JSON object on stdout; a number that is not finite is null."""
    text = json.dumps(json_plain(plain), indent=2, ensure_ascii=False, allow_nan=False)
    typer.echo(text)


def show_fields(fields: Iterable[tuple[str, str]], *, width: int) -> None:
    """(name, value) a line, the values below each other from column `width` on."""
    for name, value in fields:
        typer.echo(f"{name:<{width}}{value}")


def show_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """A table of rich's on a terminal, aligned columns when piped."""
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        from rich.table import Table

        table = Table(*header, header_style="bold")
        for line in lines:
            table.add_row(*line)
        console.print(table)
        return
    widths = [max(len(row[i]) for row in [header, *lines]) for i in range(len(header))]
    for row in [header, *lines]:
        typer.echo("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    typer.echo("")
