"""What `run` says at its end."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import typer

from edgeinspect.bench.planned import SessionSettings
from edgeinspect.cli.output import show_json
from edgeinspect.runtime.inspection import Reason, Verdict
from edgeinspect.stream.summary import RunSummary

__all__ = ["VERDICT_STYLES", "reason_words", "show_summary"]

VERDICT_STYLES = {Verdict.OK: "green", Verdict.NG: "red", Verdict.NOT_INSPECTED: "yellow"}


def show_summary(summary: RunSummary, settings: SessionSettings, *, as_json: bool) -> None:
    """A table of verdicts and what else happened; lines when piped, or one JSON object."""
    if as_json:
        show_json({**summary.to_plain(), "from_plan": dict(settings.from_plan)})
        return
    verdicts = [(v, str(n), _why(summary, v)) for v, n in summary.n_by_verdict.items()]
    if not sys.stdout.isatty():
        for verdict, n, note in verdicts:
            typer.echo(f"{verdict.value:<14}{n:>7}  {note}".rstrip())
        typer.echo("\n".join(_lines(summary, settings)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("verdict", "parts", "why", title=f"{summary.bundle}", title_justify="left")
    for verdict, n, note in verdicts:
        table.add_row(verdict.value, n, note, style="dim" if n == "0" else VERDICT_STYLES[verdict])
    console = Console()
    console.print(table)
    console.print("\n".join(_lines(summary, settings)), markup=False, highlight=False)


def reason_words(n_by_reason: Mapping[Reason, int]) -> str:
    """Such as "unreadable 2, size 1"; the counts may grow meanwhile."""
    return ", ".join(f"{reason.value} {n}" for reason, n in list(n_by_reason.items()))


def _why(summary: RunSummary, verdict: Verdict) -> str:
    if verdict is Verdict.NG:
        return f"score above {summary.threshold:.4g}"
    if verdict is Verdict.OK:
        return f"score up to {summary.threshold:.4g}"
    return reason_words(summary.n_by_reason)


def _lines(summary: RunSummary, settings: SessionSettings) -> list[str]:
    latency = ", ".join(f"{name} {value:.1f} ms" for name, value in summary.latency_ms.items())
    lines = [
        f"records in {summary.n_frames} = records out {summary.n_records}",
        f"latency with waiting {latency or 'unknown'};"
        f" {summary.rate_per_s:.1f} parts/s on {summary.runtime}",
        f"records {summary.out / 'records.jsonl'}",
    ]
    if summary.n_before:
        lines[0] += f", after {summary.n_before} of earlier starts"
    if settings.from_plan:
        lines.append(f"settings of the bundle's plan: {settings.plan_words}")
    if summary.n_overlays:
        lines.append(f"overlays {summary.out / 'overlays'} ({summary.n_overlays})")
    return lines
