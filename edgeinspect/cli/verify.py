"""`edgeinspect verify`: whether this machine computes what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeinspect.cli.options import AsJson, Batch, Precision, Runtime, Threads
from edgeinspect.cli.output import show_json, show_table

if TYPE_CHECKING:
    from edgeinspect.parity import ParityReport
    from edgeinspect.verification import Verification

__all__ = ["verify"]


def verify(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="DIR",
            help="Pictures to compare as well; with test/good and test/DEFECT also by AUROC.",
        ),
    ] = None,
    runtime: Runtime = "auto",
    precision: Precision = None,
    batch: Batch = 1,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Compare this machine's answers with those of PyTorch.

    The bundle carries PyTorch's answers to a few pictures. Exit code: 0 all is within the
    budgets, 2 it is not, or could not be compared.

    Example: edgeinspect verify part.bundle --images parts --precision fp16
    """
    from edgeinspect.bundle import read_bundle
    from edgeinspect.cli.progress import step_bars
    from edgeinspect.config import Precision as OnePrecision
    from edgeinspect.verification import verify_bundle

    with step_bars() as on_progress:
        found = verify_bundle(
            read_bundle(bundle),
            runtime=runtime,
            precision=None if precision is None else OnePrecision.parse(precision),
            batch=batch,
            threads=threads,
            images=images,
            on_progress=on_progress,
        )
    if as_json:
        show_json(found.plain())
    else:
        _show(found)
    found.require()


def _show(found: Verification) -> None:
    typer.echo(f"{found.bundle} on {found.runtime} in {found.precision.value}")
    rows = [_row("golden images, against PyTorch", found.golden)]
    if found.reference is not None:
        rows.append(_row("reference, against PyTorch", found.reference))
    if found.pictures is not None:
        rows.append(_row("pictures, against the reference", found.pictures.parity))
    header = ["", "images", "ties", "score error", "map error", "correlation", "other scale"]
    show_table(header, rows)
    if found.pictures is None:
        return
    flips, auroc = found.pictures.flips, found.pictures.auroc
    typer.echo(f"verdict flips: {'not calibrated' if flips is None else len(flips)}")
    if auroc is not None:
        typer.echo(f"AUROC: {auroc[0]:.4f} of the reference, {auroc[1]:.4f} here")
    for words in found.pictures.skipped:
        typer.echo(f"warning: skipped: {words}", err=True)


def _row(name: str, report: ParityReport) -> list[str]:
    return [
        name,
        str(report.n_images),
        str(report.n_ties),
        f"{report.score_error:.2g}",
        f"{report.map_error:.2g}",
        f"{report.map_correlation:.5f}",
        str(report.n_scale_changes),
    ]
