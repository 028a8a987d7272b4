"""`edgeinspect plan`: which settings of a bundle meet a deadline on this box."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeinspect.cli.options import AsJson, Precisions, Runtimes
from edgeinspect.cli.output import show_json, show_table
from edgeinspect.numbers import three_digits, two_digits

if TYPE_CHECKING:
    from edgeinspect.bench.planning import Plan

__all__ = ["plan"]


def plan(
    bundle: Annotated[Path, typer.Argument(help="The bundle, calibrated.")],
    deadline_ms: Annotated[
        float,
        typer.Option("--deadline-ms", help="From the picture to its verdict, in milliseconds."),
    ],
    parts_per_minute: Annotated[
        float | None,
        typer.Option("--parts-per-minute", help="Rate of the line.  [default: the most there is]"),
    ] = None,
    miss_probability: Annotated[
        float, typer.Option("--miss-probability", help="Share of parts that may be late.")
    ] = 0.01,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Labelled pictures (test/good, test/DEFECT), for AUROC."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="RUN", help="Training run, to try scales, merging, tiles."),
    ] = None,
    good: Annotated[
        Path | None,
        typer.Option("--good", metavar="DIR", help="Good pictures to calibrate those on."),
    ] = None,
    runtimes: Runtimes = None,
    precision: Precisions = None,
    batch: Annotated[
        str, typer.Option("--batch", metavar="N,M", help="Tiles in one call, to try.")
    ] = "1,2,4,8",
    merge: Annotated[
        str | None,
        typer.Option(
            "--merge",
            metavar="R,S",
            help="Tokens to merge a block, with --run.  [default: one in eight]",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="How long to measure each setting.")
    ] = 5.0,
    threads: Annotated[
        str | None,
        typer.Option(
            "--threads", metavar="N,M", help="CPU threads, to try.  [default: 1 and all cores]"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The copy to write.  [default: BUNDLE with -planned]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier copy.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find settings that meet a deadline here.

    Measures every setting and writes the choice into a copy of the bundle.

    Example: edgeinspect plan part.bundle --deadline-ms 50 --data parts
    """
    from edgeinspect.bench.candidates import Demand
    from edgeinspect.bench.plan_record import check_place, write_choice
    from edgeinspect.bench.planning import PlanSettings, plan_bundle
    from edgeinspect.bundle import read_bundle
    from edgeinspect.cli.progress import step_bars
    from edgeinspect.cli.settings import read_numbers, read_precisions, read_words

    demand = Demand(
        deadline_ms=deadline_ms,
        parts_per_minute=parts_per_minute,
        miss_probability=miss_probability,
    )
    settings = PlanSettings(
        runtimes=None if runtimes is None else read_words(runtimes, "--runtime"),
        precisions=None if precision is None else read_precisions(precision),
        batches=read_numbers(batch, "--batch"),
        merge=None if merge is None else read_numbers(merge, "--merge"),
        threads=None if threads is None else read_numbers(threads, "--threads"),
        seconds=seconds,
    )
    out = out or bundle.with_name(f"{bundle.name.removesuffix('.bundle')}-planned.bundle")
    check_place(bundle, out, force=force)
    opened = read_bundle(bundle)
    with (
        step_bars() as on_progress,
        plan_bundle(
            opened, demand, settings, data=data, run=run, good=good, on_progress=on_progress
        ) as found,
    ):
        write_choice(found, out, force=force)
    if as_json:
        show_json({"bundle": str(out), **found.plain()})
    else:
        _show(found, out)


def _show(found: Plan, out: Path) -> None:
    lines = [
        (
            candidate.name,
            three_digits(candidate.end_to_end.p50_ms),
            three_digits(candidate.end_to_end.p99_ms),
            f"{two_digits(100 * candidate.late_share)} %"
            f" (at most {two_digits(100 * candidate.late_at_most)} %)",
            f"{candidate.parts_per_minute:.0f}" if candidate.parts_per_minute else "-",
            "-" if candidate.auroc is None else f"{candidate.auroc:.3f}",
            "yes" if candidate.name in found.front else "",
            "yes" if candidate.meets else "no",
        )
        for candidate in found.candidates
    ]
    header = ("", "p50 ms", "p99 ms", "late", "parts/min", "AUROC", "front", "meets it")
    show_table(header, lines)
    for one in found.left_out:
        typer.echo(f"not measured: {one.name}: {one.why}", err=True)
    choice = found.choice
    if choice.late_at_most > found.demand.miss_probability:
        typer.echo(
            f"warning: {choice.end_to_end.n} batches cannot show less than"
            f" {two_digits(100 * choice.late_at_most)} % late ones, and at a high rate each"
            " makes others late: measure longer with --seconds",
            err=True,
        )
    typer.echo(
        f"choice: {choice.name}, up to {choice.parts_per_minute:.0f} parts a minute with at most"
        f" {100 * found.demand.miss_probability:g} % later than {found.demand.deadline_ms:g} ms,"
        f" as far as {choice.end_to_end.n} batches show"
    )
    typer.echo(f"next: edgeinspect run {out} SOURCE --out results")
