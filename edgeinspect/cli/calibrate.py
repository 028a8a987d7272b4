"""`edgeinspect calibrate`: constants and threshold of a bundle, from good pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeinspect.cli.options import AsJson, Seed, Select, Threads
from edgeinspect.cli.output import show_fields, show_json
from edgeinspect.config import Normalisation, Rule

if TYPE_CHECKING:
    from edgeinspect.constants import Calibration

__all__ = ["calibrate"]

N_HIGHEST = 3


def calibrate(
    bundle: Annotated[Path, typer.Argument(help="The bundle to calibrate.")],
    good_dir: Annotated[
        Path,
        typer.Argument(help="Folder of good pictures, in the order they were taken."),
    ],
    false_reject_rate: Annotated[
        float,
        typer.Option(
            "--false-reject-rate",
            help="Share of good parts that may be called NG (0.01: 1 in 100).",
        ),
    ] = 0.01,
    rule: Annotated[
        Rule | None, typer.Option("--rule", help="Rule of the verdict.  [default: peak]")
    ] = None,
    select: Select = False,
    normalisation: Annotated[
        Normalisation | None,
        typer.Option(
            "--normalisation",
            help="How error maps are normalised.  [default: what held-out good pictures prefer]",
        ),
    ] = None,
    allow_training_pictures: Annotated[
        bool,
        typer.Option(
            "--allow-training-pictures",
            help="Calibrate with pictures that trained the model: the threshold will be too low.",
        ),
    ] = False,
    skip_training_pictures: Annotated[
        bool,
        typer.Option("--skip-training-pictures", help="Leave out pictures that trained the model."),
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Also make an INT8 graph for this machine's CPU, kept if it is faster and close.",
        ),
    ] = False,
    seed: Seed = 0,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Give a bundle its statistics and threshold.

    Example: edgeinspect calibrate part.bundle good_parts --false-reject-rate 0.01
    """
    from edgeinspect.bench.racing import race
    from edgeinspect.calibration.calibrate import calibrate as calibrate_bundle
    from edgeinspect.calibration.int8 import add_int8
    from edgeinspect.calibration.quantising import require_quantiser
    from edgeinspect.cli.progress import step_bars
    from edgeinspect.data.copies import distinct_pictures
    from edgeinspect.data.layout import find_good

    if int8:
        require_quantiser()
    given = find_good(good_dir)
    pictures = list(distinct_pictures(given))
    skipped: list[tuple[Path, str]] = []
    with step_bars() as on_progress:
        calibration = calibrate_bundle(
            bundle,
            pictures,
            false_reject_rate=false_reject_rate,
            rule=rule,
            normalisation=normalisation,
            select=select,
            allow_training_pictures=allow_training_pictures,
            skip_training_pictures=skip_training_pictures,
            seed=seed,
            threads=threads,
            on_progress=on_progress,
            on_skipped=lambda path, what: skipped.append((path, what)),
        )
    for _, what in skipped:
        typer.echo(f"warning: skipped: {what}", err=True)
    n_copies = len(given) - len(pictures)
    result = _result(bundle, calibration, n_given=len(given), n_copies=n_copies, skipped=skipped)
    if int8:
        with step_bars() as on_progress:
            made = add_int8(
                bundle,
                pictures,
                race=race,
                allow_training_pictures=allow_training_pictures,
                skip_training_pictures=skip_training_pictures,
                seed=seed,
                threads=threads,
                on_progress=on_progress,
            )
        result["int8"] = made.plain()
    elif (stale := _earlier_int8(bundle)) is not None:
        typer.echo(f"warning: {stale}", err=True)
    if as_json:
        show_json(result)
    else:
        _show(result)


def _earlier_int8(bundle: Path) -> str | None:
    """A sentence about an INT8 graph that was proven under the calibration before this one."""
    from edgeinspect.bundle import read_bundle
    from edgeinspect.config import Precision

    if not read_bundle(bundle).has_graph(Precision.INT8):
        return None
    return (
        "the INT8 graph was held to the calibration before this one; add --int8 to make it again,"
        f" or run: edgeinspect verify {bundle} --precision int8 --images PICTURES"
    )


def _result(
    bundle: Path,
    calibration: Calibration,
    *,
    n_given: int,
    n_copies: int,
    skipped: list[tuple[Path, str]],
) -> dict[str, Any]:
    """What a machine may read; the keys are stable."""
    import numpy as np

    threshold = calibration.threshold
    return {
        "bundle": str(bundle),
        "threshold": threshold.value,
        "threshold_interval": list(threshold.interval),
        "method": threshold.method,
        "false_reject_rate": threshold.false_reject_rate,
        "false_reject_rate_interval": list(threshold.rate_interval),
        "median_good_score": float(np.median(calibration.good_scores)),
        "highest_good": [
            {"picture": calibration.good_names[i], "score": float(calibration.good_scores[i])}
            for i in np.argsort(-calibration.good_scores)[:N_HIGHEST]
        ],
        "rule": calibration.rule.value,
        "normalisation": calibration.normalisation.value,
        "measures": list(calibration.measures),
        "n_good": threshold.n_good,
        "n_given": n_given,
        "n_copies_left_out": n_copies,
        "n_training_pictures_left_out": n_given - n_copies - threshold.n_good - len(skipped),
        "skipped": [{"picture": str(path), "reason": what} for path, what in skipped],
        "warnings": list(calibration.warnings),
        "selection": calibration.selection,
    }


def _show(result: dict[str, Any]) -> None:
    show_fields(_lines(result), width=20)
    if result["selection"] is not None:
        _show_selection(result["selection"])
    typer.echo(f"next: edgeinspect run {result['bundle']} PICTURES --out inspected")


def _lines(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, value) of each line that people read."""
    from edgeinspect.numbers import percent, percent_range

    low, high = result["threshold_interval"]
    yield "threshold", f"{result['threshold']:.3f} (95 %: {low:.3f} to {high:.3f})"
    how = {"empirical": "a quantile of", "tail": "a tail fitted to"}[result["method"]]
    yield "from", f"{how} the scores of {result['n_good']} good pictures"
    yield "their median", f"{result['median_good_score']:.3f}"
    highest = (f"{one['score']:.3f} ({one['picture']})" for one in result["highest_good"])
    yield "the highest", f"{', '.join(highest)}: look whether these are good parts"
    rate = percent(result["false_reject_rate"])
    interval = percent_range(result["false_reject_rate_interval"])
    yield "false rejects", f"{rate} of good parts (95 %: {interval})"
    yield "rule", f"{result['rule']} of {', '.join(result['measures'])}"
    yield "normalisation", result["normalisation"]
    if "int8" in result:
        yield "INT8", _int8(result["int8"])
    if result["skipped"]:
        yield "not readable", f"{len(result['skipped'])} of {result['n_given']} pictures"
    if result["n_copies_left_out"]:
        yield "copies of others", f"{result['n_copies_left_out']} pictures, left out"
    if result["n_training_pictures_left_out"]:
        yield "trained the model", f"{result['n_training_pictures_left_out']} pictures, left out"


def _int8(found: dict[str, Any]) -> str:
    if not found["is_kept"]:
        return f"not kept: {found['why_not']}"
    speedup, report = found["speedup"], found["report"]
    return (
        f"{', '.join(found['parts'])}: {speedup['value']:.2f} times as fast (95 %:"
        f" {speedup['low']:.2f} to {speedup['high']:.2f}), scores within"
        f" {report['score_error']:.2g}; use it with --precision int8"
    )


def _show_selection(selection: dict[str, Any]) -> None:
    typer.echo(
        f"\ntried on {selection['n_pasted']} synthetic defects of severity"
        f" {selection['severity']:g} and {selection['n_untouched']} untouched pictures:"
    )
    typer.echo("AUROC  lead over the default  candidate")
    for i, trial in enumerate(selection["tried"]):
        mark = "*" if trial["name"] == selection["chosen"] else " "
        lead = f"{trial['lead']:+.3f} +- {trial['lead_standard_error']:.3f}" if i else "(default)"
        typer.echo(f"{trial['auroc']:.3f}  {lead:<21}{mark} {trial['name']}")
    typer.echo(f"* chosen: {selection['reason']}")
    typer.echo("(this ranks rules; it says nothing about real defects)\n")
