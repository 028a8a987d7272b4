"""`edgeinspect run`: judge pictures with a bundle, one record a part."""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeinspect.cli.main import EXIT_INTERRUPTED
from edgeinspect.cli.options import AsJson, Batch, Runtime, Threads
from edgeinspect.cli.output import show_json

if TYPE_CHECKING:
    from edgeinspect.stream.records import Record
    from edgeinspect.stream.run import RunSummary

__all__ = ["SaveChoice", "run"]

EXIT_NOT_ALL_OK = 1


class SaveChoice(str, enum.Enum):
    """The words of `--save` (`edgeinspect.stream.run.Save`, which would import too much)."""

    NG = "ng"
    ALL = "all"
    NONE = "none"


def run(
    bundle: Annotated[Path, typer.Argument(help="The bundle, calibrated.")],
    source: Annotated[
        str,
        typer.Argument(help="A picture, a folder, a quoted glob, or a video."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for records and pictures.")],
    save: Annotated[
        SaveChoice, typer.Option("--save", help="For which parts overlays and maps are saved.")
    ] = SaveChoice.NG,
    keep_gib: Annotated[
        float,
        typer.Option("--keep-gib", min=0, help="Disk for pictures in GiB; the oldest go first."),
    ] = 10.0,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            "--sink",
            metavar="URL",
            help="Where records go as well: mqtt://, https://, modbus://, prometheus://."
            " May be repeated.",
        ),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option("--view", metavar="HOST:PORT", help="Serve a live page, to look at only."),
    ] = None,
    runtime: Runtime = "auto",
    batch: Batch = 1,
    threads: Threads = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier run in --out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge pictures with a bundle.

    Writes OUT/records.jsonl, one line a part, and overlays of the NG parts. Exit code: 0 every
    part is OK, 1 at least one is NG or NOT-INSPECTED, 2 the run failed.

    Example: edgeinspect run part.bundle pictures/ --out results
    """
    from edgeinspect.bundle import read_bundle
    from edgeinspect.errors import OutputError
    from edgeinspect.interruption import Interruption
    from edgeinspect.runtime.inspector import Inspector
    from edgeinspect.runtime.session import open_session
    from edgeinspect.stream.run import Save, run_stream
    from edgeinspect.stream.sources import open_source

    opened = read_bundle(bundle)
    white_level = opened.config.preprocess.white_level_16bit
    frames = open_source(source, white_level_16bit=white_level)
    if any(folder.resolve().is_relative_to(out.resolve()) for folder in frames.folders):
        raise OutputError(f"the pictures {source} lie in --out {out}", hint="choose another --out")
    session = open_session(opened, runtime=runtime, batch=batch, threads=threads)
    with (
        Inspector(opened, session, batch=batch, maps_of_all=save is SaveChoice.ALL) as inspector,
        Interruption() as interruption,
        _progress(frames.n_frames) as on_record,
    ):
        summary = run_stream(
            inspector,
            frames,
            out,
            save=Save(save.value),
            keep_gib=keep_gib,
            urls=sink or (),
            view=view,
            force=force,
            stop=interruption.event,
            on_record=on_record,
        )
    _show(summary, as_json=as_json)
    if summary.is_interrupted:
        typer.echo(f"interrupted: {summary.n_records} parts have their records", err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    raise typer.Exit(0 if summary.is_all_ok else EXIT_NOT_ALL_OK)


@contextlib.contextmanager
def _progress(n_frames: int | None) -> Iterator[Callable[[Record], None]]:
    """What to call after each record: a bar on a terminal, and a line for what was not judged."""
    if not sys.stderr.isatty():
        yield lambda record: _complain(record, lambda line: typer.echo(line, err=True))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("judging", total=n_frames)

        def on_record(record: Record) -> None:
            bar.advance(task)
            _complain(record, lambda line: bar.console.print(line, markup=False, highlight=False))

        yield on_record


def _complain(record: Record, say: Callable[[str], None]) -> None:
    detail, source = record.inspection.detail, record.frame.source
    if detail is not None:
        say(f"warning: not inspected: {detail if source in detail else f'{source}: {detail}'}")


def _show(summary: RunSummary, *, as_json: bool) -> None:
    if as_json:
        show_json(summary.to_plain())
        return
    verdicts = [
        (v.value, str(n), _reasons(summary, v.value)) for v, n in summary.n_by_verdict.items()
    ]
    if not sys.stdout.isatty():
        for name, n, note in verdicts:
            typer.echo(f"{name:<14}{n:>7}  {note}".rstrip())
        typer.echo("\n".join(_lines(summary)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("verdict", "parts", "why", title=f"{summary.bundle}", title_justify="left")
    for name, n, note in verdicts:
        style = {"OK": "green", "NG": "red"}.get(name, "yellow") if n != "0" else "dim"
        table.add_row(name, n, note, style=style)
    console = Console()
    console.print(table)
    console.print("\n".join(_lines(summary)), markup=False, highlight=False)


def _reasons(summary: RunSummary, verdict: str) -> str:
    if verdict == "NG":
        return f"score above {summary.threshold:.4g}"
    if verdict == "OK":
        return f"score up to {summary.threshold:.4g}"
    return ", ".join(f"{reason.value} {n}" for reason, n in summary.n_by_reason.items())


def _lines(summary: RunSummary) -> list[str]:
    latency = ", ".join(f"{name} {value:.1f} ms" for name, value in summary.latency_ms.items())
    lines = [
        f"records in {summary.n_frames} = records out {summary.n_records}",
        f"latency {latency or 'unknown'}; {summary.rate_per_s:.1f} parts/s on {summary.runtime}",
        f"records {summary.out / 'records.jsonl'}",
    ]
    if summary.n_overlays:
        lines.append(f"overlays {summary.out / 'overlays'} ({summary.n_overlays})")
    return lines
