"""`edgeinspect synth`: synthetic parts, or defects pasted onto real good pictures."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeinspect.cli.options import AsJson, Seed
from edgeinspect.cli.output import show_json

if TYPE_CHECKING:
    from edgeinspect.data.synthetic.dataset import SyntheticSet

__all__ = ["SurfaceName", "synth"]


class SurfaceName(str, enum.Enum):
    """The finishes by name, and all of them in turn."""

    BRUSHED = "brushed"
    ROLLED = "rolled"
    CAST = "cast"
    MACHINED = "machined"
    ALL = "all"


def synth(
    out: Annotated[Path, typer.Argument(help="Folder to write, in MVTec layout.")],
    surface: Annotated[
        SurfaceName, typer.Option("--surface", help="Finish of the metal.")
    ] = SurfaceName.ALL,
    n_good: Annotated[int, typer.Option("--n-good", help="Good parts for training.")] = 60,
    n_test: Annotated[
        int, typer.Option("--n-test", help="Parts for testing, half of them with a defect.")
    ] = 48,
    size: Annotated[int, typer.Option("--size", help="Side of a picture in px.")] = 256,
    onto: Annotated[
        Path | None,
        typer.Option("--onto", help="Folder of good pictures: paste onto these instead."),
    ] = None,
    severity: Annotated[
        float | None,
        typer.Option(
            "--severity",
            help="Of every defect: 0 faint, 1 strong.  [default: spread from hard to easy]",
        ),
    ] = None,
    seed: Seed = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a data set written by this command.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make synthetic parts, or paste defects onto good pictures.

    Example: edgeinspect synth parts --surface brushed --n-good 100

    With --onto, test/good holds the good pictures as they are and test/DEFECT the same ones with
    a defect each: edgeinspect synth check --onto parts/train/good --severity 0.6
    """
    from edgeinspect.data.synthetic.dataset import make_data_set, paste_data_set
    from edgeinspect.data.synthetic.surfaces import Finish

    if onto is not None:
        made = paste_data_set(out, onto, severity=severity, seed=seed, force=force)
    else:
        made = make_data_set(
            out,
            finish=None if surface is SurfaceName.ALL else Finish(surface.value),
            n_good=n_good,
            n_test=n_test,
            size_px=size,
            severity=severity,
            seed=seed,
            force=force,
        )
    _show(made, as_json=as_json)


def _show(made: SyntheticSet, *, as_json: bool) -> None:
    """What was written, and what to type next."""
    from edgeinspect.data.splits import FEWEST_TO_FIT

    defects = {kind.value: n for kind, n in made.n_defects}
    if as_json:
        counts = {"n_train": made.n_train, "n_test_good": made.n_test_good, "n_defects": defects}
        show_json({"folder": str(made.folder), **counts, "n_skipped": len(made.skipped)})
        return
    names = ", ".join(f"{kind} {n}" for kind, n in defects.items()) or "none"
    typer.echo(f"{made.folder}: {made.n_train} good parts for training")
    typer.echo(f"test: {made.n_test_good} good, {sum(defects.values())} with a defect ({names})")
    if made.skipped:
        typer.echo(f"skipped: {len(made.skipped)} pictures that could not be read")
    if made.n_train >= FEWEST_TO_FIT:
        typer.echo(f"next: edgeinspect fit {made.folder} part.bundle --minutes 10")
    elif made.n_train:
        typer.echo(f"too few for edgeinspect fit: --n-good {FEWEST_TO_FIT} gives it what it needs")
    else:
        typer.echo(f"next: edgeinspect evaluate part.bundle {made.folder} --out results")
