"""`edgeinspect report`: one page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeinspect.cli.options import AsJson
from edgeinspect.cli.output import show_json

__all__ = ["report"]


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out folder of a run.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The page.  [default: DIR/report.html]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier page.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a page about a run.

    Verdicts over time, scores, latencies, outages, drift and the last NG parts, in one HTML file
    that needs no other. The run may be going on.

    Example: edgeinspect report results
    """
    from edgeinspect.report.run_page import REPORT, make_run_report
    from edgeinspect.stream.records import RECORDS

    page = make_run_report(folder, out=out, force=force)
    target = folder / REPORT if out is None else out
    if page.n_unreadable:
        typer.echo(
            f"warning: {page.n_unreadable} lines of {folder / RECORDS} are no records and left out,"
            f" the first is line {page.first_unreadable}",
            err=True,
        )
    if as_json:
        show_json(
            {
                "page": str(target),
                "n_parts": page.n_parts,
                "verdicts": page.n_by_verdict,
                "reasons": page.n_by_reason,
                "n_unreadable": page.n_unreadable,
                "first_unreadable": page.first_unreadable,
                "n_outages": len(page.intervals),
                "n_drift": len(page.drift),
            }
        )
        return
    verdicts = ", ".join(f"{n} {verdict}" for verdict, n in page.n_by_verdict.items())
    typer.echo(f"{page.n_parts} parts: {verdicts}")
    typer.echo(f"look at: {target}")
