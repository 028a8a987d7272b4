"""`edgeinspect bench`: how fast a bundle is on this box, and what got slower since."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeinspect.cli.options import AsJson, Precisions, Runtimes, Threads
from edgeinspect.cli.output import show_json, show_table

if TYPE_CHECKING:
    from edgeinspect.bench.comparison import Comparison
    from edgeinspect.bench.results import BenchReport

__all__ = ["bench"]

EXIT_SLOWER = 1

AllowOtherHardware = Annotated[
    bool, typer.Option("--allow-other-hardware", help="Compare reports of different boxes.")
]


def bench(
    bundle: Annotated[Path | None, typer.Argument(help="The bundle.", show_default=False)] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Pictures to measure on.  [default: the bundle's golden images]",
        ),
    ] = None,
    runtimes: Runtimes = None,
    precision: Precisions = None,
    batch: Annotated[
        str, typer.Option("--batch", metavar="N,M", help="Tiles in one call; several to compare.")
    ] = "1",
    rounds: Annotated[
        int, typer.Option("--rounds", help="Rounds, 6 at least: fewer have no interval.")
    ] = 20,
    threads: Threads = None,
    no_baseline: Annotated[
        bool,
        typer.Option("--no-baseline", help="Leave out the unoptimised model, and all ratios."),
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report.")] = Path("bench"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier report in --out.")
    ] = False,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--compare", metavar="A B", help="Two reports: what became slower from A to B."
        ),
    ] = None,
    allow_other_hardware: AllowOtherHardware = False,
    as_json: AsJson = False,
) -> None:
    """Measure how fast a bundle is on this machine.

    Writes OUT/bench.json, bench.md and bench.html, a record to be signed. Exit code: 0 done,
    1 --compare found something slower beyond noise, 2 it could not be measured.

    Example: edgeinspect bench part.bundle --data parts/test/good --batch 1,8

    To compare: edgeinspect bench --compare before/bench.json after/bench.json
    """
    from edgeinspect.bench.bundle_bench import BenchSettings, bench_bundle
    from edgeinspect.bench.folder import check_bench_folder, write_bench
    from edgeinspect.bundle import read_bundle
    from edgeinspect.cli.progress import step_bars
    from edgeinspect.cli.settings import read_numbers, read_precisions, read_words
    from edgeinspect.errors import ConfigError

    if compare is not None and bundle is not None:
        raise ConfigError(
            f"--compare reads two reports and does not measure {bundle}",
            hint="leave one of them out",
        )
    if compare is not None:
        raise typer.Exit(_compare(compare, allow_other_hardware, as_json=as_json))
    if bundle is None:
        raise ConfigError("no bundle was given", hint="write: edgeinspect bench part.bundle")
    settings = BenchSettings(
        runtimes=None if runtimes is None else read_words(runtimes, "--runtime"),
        precisions=None if precision is None else read_precisions(precision),
        batches=read_numbers(batch, "--batch"),
        rounds=rounds,
        threads=threads,
        has_baseline=not no_baseline,
    )
    check_bench_folder(out, force=force)
    with step_bars() as on_progress:
        report = bench_bundle(read_bundle(bundle), settings, data=data, on_progress=on_progress)
    write_bench(report, out, force=force)
    if as_json:
        show_json(report.plain())
    else:
        _show(report, out)


def _show(report: BenchReport, out: Path) -> None:
    from edgeinspect.bench.tables import report_tables

    for table in report_tables(report):
        typer.echo(table.title)
        show_table(table.header, table.lines)
        typer.echo(f"{table.note}\n")
    _say(f"warning: {words}" for words in report.all_warnings)
    _say(f"not measured: {one['name']}: {one['why']}" for one in report.left_out)
    _say(f"note: {words}" for words in report.notes)
    typer.echo(f"report {out / 'bench.html'}, for machines {out / 'bench.json'}")


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line, err=True)


def _compare(files: tuple[Path, Path], allows_other_hardware: bool, *, as_json: bool) -> int:
    from edgeinspect.bench.comparison import compare_reports
    from edgeinspect.bench.results import read_report

    before, after = (read_report(file) for file in files)
    found = compare_reports(before, after, allows_other_hardware=allows_other_hardware)
    if as_json:
        show_json(_comparison_plain(found))
    else:
        _show_comparison(found)
    return EXIT_SLOWER if found.slower else 0


def _comparison_plain(found: Comparison) -> dict[str, object]:
    from dataclasses import asdict

    changes = [{**asdict(change), "verdict": change.words} for change in found.changes]
    return {**asdict(found), "changes": changes, "is_slower": bool(found.slower)}


def _show_comparison(found: Comparison) -> None:
    from edgeinspect.bench.comparison import NOISE
    from edgeinspect.numbers import percent, three_digits

    lines = [
        (
            change.name,
            three_digits(change.before_ms),
            three_digits(change.after_ms),
            f"{change.ratio.value:.2f} ({change.ratio.low:.2f} to {change.ratio.high:.2f})",
            change.words,
        )
        for change in found.changes
    ]
    show_table(["", "before ms", "after ms", "after : before", ""], lines)
    _say(f"warning: different hardware: {words}" for words in found.other_hardware)
    if found.untold:
        n = len(found.untold)
        typer.echo(
            f"warning: {n} not told apart: their rounds differ too much to rule out a change above"
            f" {percent(NOISE - 1)}; measure both again with more --rounds",
            err=True,
        )
    _say(f"only before: {name}" for name in found.only_before)
    _say(f"only after: {name}" for name in found.only_after)
