"""`edgeinspect export`: from a training run to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeinspect.cli.options import AsJson
from edgeinspect.cli.output import show_json

__all__ = ["export"]

FORM = "scoring.KEY=VALUE"


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    bundle: Annotated[Path, typer.Argument(help="The bundle to write.")],
    merge: Annotated[
        str | None,
        typer.Option(
            metavar="R",
            help="Tokens merged away in each encoder block: one number, or one a block (0,8,16)."
            "  [default: as trained]",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar=FORM, help="Change a setting; may be repeated."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the bundle.")] = False,
    as_json: AsJson = False,
) -> None:
    """Turn a training run into a bundle.

    The graphs are compared with PyTorch before the bundle exists. Settings of scoring and the
    merging of tokens can still be changed, the others were fixed when the run was trained.

    Example: edgeinspect export run part.bundle --set scoring.measures=l1,ssim
    """
    from edgeinspect.cli.settings import pairs
    from edgeinspect.export import export_run

    words = pairs(settings or [], form=FORM)
    written = export_run(run, bundle, force=force, merge=merge, settings=words)
    n_bytes = sum(file.stat().st_size for file in written.path.iterdir())
    if as_json:
        show_json({"bundle": str(written.path), "size_bytes": n_bytes, **written.manifest.graph})
        return
    typer.echo(f"wrote {written.path} ({n_bytes / 1e6:.1f} MB)")
    typer.echo(f"next: edgeinspect calibrate {written.path} GOOD_DIR --false-reject-rate 0.01")
