"""`edgeinspect export`: from a training run to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")],
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the bundle.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="scoring.KEY=VALUE", help="What the graph measures; may be repeated."
        ),
    ] = None,
) -> None:
    """Turn a training run into a bundle.

    The graphs are compared with PyTorch before the bundle exists. Example:

    edgeinspect export runs/screw screw.bundle --set scoring.measures=l1,ssim
    """
    from edgeinspect.errors import ConfigError
    from edgeinspect.export import export_run

    pairs: dict[str, str] = {}
    for setting in settings or []:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting} has no value", hint="write scoring.KEY=VALUE")
        pairs[key] = value
    written = export_run(run, bundle, force=force, settings=pairs)
    size_mb = sum(f.stat().st_size for f in written.path.iterdir()) / 1e6
    typer.echo(f"wrote {written.path} ({size_mb:.1f} MB); next:")
    typer.echo(f"  edgeinspect calibrate {written.path} GOOD_DIR --false-reject-rate 0.01")
