"""`edgeinspect fit`: train, export and calibrate as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeinspect.cli.options import (
    AsJson,
    BackboneWeights,
    Device,
    EncoderWeights,
    Preset,
    Seed,
    Select,
    Settings,
    Target,
    Tile,
)
from edgeinspect.cli.output import show_json

if TYPE_CHECKING:
    from edgeinspect.fitting import Fit, Split

__all__ = ["fit"]


def fit(
    good_dir: Annotated[
        Path, typer.Argument(help="Folder of good pictures, in the order they were taken.")
    ],
    bundle: Annotated[Path, typer.Argument(help="The bundle to write.")],
    minutes: Annotated[float, typer.Option("--minutes", help="Length in minutes.")] = 10.0,
    steps: Annotated[int | None, typer.Option("--steps", help="Length in steps instead.")] = None,
    false_reject_rate: Annotated[
        float | None,
        typer.Option(
            "--false-reject-rate",
            help="Share of good parts that may be called NG (0.01: 1 in 100).  [default: 0.01, or"
            " the least that the pictures support]",
        ),
    ] = None,
    preset: Preset = None,
    target: Target = "features",
    settings: Settings = None,
    tile: Tile = None,
    encoder_weights: EncoderWeights = None,
    backbone_weights: BackboneWeights = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="Training run to write.  [default: BUNDLE's .run]")
    ] = None,
    select: Select = False,
    device: Device = "auto",
    seed: Seed = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace the bundle and its run.")] = False,
    as_json: AsJson = False,
) -> None:
    """Turn a folder of good pictures into a calibrated bundle.

    Example: edgeinspect fit good_parts part.bundle --minutes 10
    """
    from edgeinspect.cli.progress import TrainingProgress
    from edgeinspect.cli.settings import read_settings, resize_rule
    from edgeinspect.fitting import fit as fit_bundle
    from edgeinspect.training.planning import Duration

    config = read_settings(preset, settings, target=target, seed=seed)
    length = Duration(minutes=minutes if steps is None else None, steps=steps)
    with TrainingProgress() as progress:
        result = fit_bundle(
            good_dir, bundle, run or bundle.with_suffix(".run"), config, length,
            false_reject_rate=false_reject_rate, resize=resize_rule(tile), select=select,
            encoder_weights=encoder_weights, backbone_weights=backbone_weights, device=device,
            force=force, on_split=_show_split, on_step=progress,
        )  # fmt: skip
    if as_json:
        show_json(_result(bundle, result))
    else:
        _show(bundle, result)


def _show_split(split: Split) -> None:
    typer.echo(
        f"{len(split.training)} pictures train, {len(split.selection)} select the checkpoint,"
        f" {len(split.calibration)} calibrate",
        err=True,
    )


def _show(bundle: Path, result: Fit) -> None:
    from edgeinspect.numbers import percent, percent_range

    threshold = result.calibration.threshold
    typer.echo(f"wrote {bundle}")
    typer.echo(
        f"  threshold {threshold.value:.3f} ({threshold.method}, {threshold.n_good} good pictures):"
        f" expect {percent(threshold.false_reject_rate)} of good parts to be called NG"
        f" (95 %: {percent_range(threshold.rate_interval)})"
    )
    typer.echo(f"  {_what_it_finds(result)}")
    typer.echo(f"next: edgeinspect run {bundle} PICTURES --out results")


def _what_it_finds(result: Fit) -> str:
    found = result.faintest_found
    if not result.trials:
        return "none of the pictures that selected the checkpoint is OK: train longer"
    if found is None:
        strongest = result.trials[-1]
        return (
            f"of the strongest synthetic defects {strongest.n_found} of {strongest.n_pasted} were"
            " found: train longer, or try --select"
        )
    return (
        f"faintest synthetic defects found: contrast {found.contrast:.1f} times the part's own"
        f" range of greys, about {found.area_px:.0f} px large"
        f" ({found.n_found} of {found.n_pasted} found); real ones may be harder"
    )


def _result(bundle: Path, result: Fit) -> dict[str, Any]:
    """What a machine may read; the keys are stable."""
    import dataclasses

    threshold = result.calibration.threshold
    return {
        "bundle": str(bundle),
        "n_training": len(result.split.training),
        "n_selection": len(result.split.selection),
        "n_calibration": len(result.split.calibration),
        "training": dataclasses.asdict(result.training),
        "threshold": threshold.value,
        "false_reject_rate": threshold.false_reject_rate,
        "false_reject_rate_interval": list(threshold.rate_interval),
        "rule": result.calibration.rule.value,
        "normalisation": result.calibration.normalisation.value,
        "synthetic_defects": [dataclasses.asdict(trial) for trial in result.trials],
    }
