"""`edgeinspect evaluate`: what a bundle is worth on labelled pictures."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from edgeinspect.cli.options import AsJson, Batch, Runtime, Seed, Threads
from edgeinspect.cli.output import show_json, show_table

if TYPE_CHECKING:
    from edgeinspect.evaluation import Evaluation
    from edgeinspect.evaluation.results import Figure, ImageMetrics

__all__ = ["evaluate"]


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="The calibrated bundle.")],
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder with test/good, test/DEFECT and, for pixel figures, ground_truth.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for figures, charts and rows.")],
    good: Annotated[
        Path | None,
        typer.Option(help="Good pictures for the baselines.  [default: DATA/train/good]"),
    ] = None,
    equalised: Annotated[
        bool,
        typer.Option(
            "--equalised/--no-equalised",
            help="Judge every picture again after equal mean and spread (twice the time).",
        ),
    ] = True,
    rows: Annotated[int, typer.Option(help="Picture rows a class; 0 for none.", min=0)] = 5,
    runtime: Runtime = "auto",
    threads: Threads = None,
    batch: Batch = 8,
    seed: Seed = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier evaluation in --out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a bundle on labelled pictures.

    Example: edgeinspect evaluate part.bundle parts --out evaluation
    """
    from edgeinspect.bundle import read_bundle
    from edgeinspect.cli.progress import step_bars
    from edgeinspect.evaluation import EvaluationSettings, evaluate_into

    settings = EvaluationSettings(
        runtime=runtime,
        threads=threads,
        batch=batch,
        equalised=equalised,
        n_rows_per_class=rows,
        seed=seed,
    )
    with step_bars() as on_progress:
        result = evaluate_into(
            out,
            read_bundle(bundle),
            data,
            good=good,
            settings=settings,
            force=force,
            on_progress=on_progress,
        )
    if as_json:
        show_json(result.plain())
    else:
        _show(result, out)


def _show(result: Evaluation, out: Path) -> None:
    """Three tables and where the rest is; warnings went to stderr while they arose."""
    show_table(["", "AUROC (95 %)", "AP", "best F1", "equalised"], _score_lines(result))
    if len(result.classes) > 1:
        show_table(
            ["class", "n", "AUROC (95 %)", "recall", "pixel AUROC", "AUPRO"], _classes(result)
        )
    image, pixel, counts = result.image, result.pixel, result.counts.plain()
    typer.echo(
        f"at the threshold {result.threshold:.4g}: F1 {_of(image.f1_at_threshold)},"
        f" precision {_of(image.precision_at_threshold)},"
        f" recall {_of(image.recall_at_threshold)},"
        f" false rejects {_of(image.false_reject_rate)}"
    )
    typer.echo(f"pixels: AUROC {_short(pixel.auroc)}, AUPRO {_short(pixel.aupro)}")
    notes = [f"; {counts[key]} {words}" for key, words in _NOTES.items() if counts[key]]
    typer.echo(f"{counts['good']} good parts, {counts['defects']} defects{''.join(notes)}")
    typer.echo(f"figures, charts and picture rows: {out}")


_NOTES = MappingProxyType(
    {
        "unreadable": "pictures could not be judged",
        "not_finite": "scores were not finite",
        "masks_missing": "defects without a mask",
    }
)


def _score_lines(result: Evaluation) -> list[list[str]]:
    equal = None if result.equalised is None else result.equalised.auroc
    lines = [["score", *_three(result.image), "-" if equal is None else _short(equal.value)]]
    lines += [["  local", *_three(result.local), ""], ["  global", *_three(result.global_), ""]]
    for baseline, figures in result.baselines.items():
        name = baseline.value.replace("_", " ")
        mark = f" ({figures.direction})" if baseline.is_two_sided else ""
        after = "-" if figures.equalised is None else _short(figures.equalised.auroc.value)
        lines.append([f"{name}{mark}", *_three(figures.image), after])
    return lines


def _classes(result: Evaluation) -> list[list[str]]:
    return [
        [
            name,
            str(one.n),
            _with_interval(one.image.auroc),
            _of(one.image.recall_at_threshold),
            _short(one.pixel.auroc),
            _short(one.pixel.aupro),
        ]
        for name, one in result.classes.items()
    ]


def _three(image: ImageMetrics) -> list[str]:
    return [_with_interval(image.auroc), _of(image.average_precision), _of(image.f1_max)]


def _with_interval(figure: Figure) -> str:
    if figure.ci95 is None:
        return _short(figure.value)
    return f"{_short(figure.value)} ({figure.ci95[0]:.3f} to {figure.ci95[1]:.3f})"


def _of(figure: Figure | None) -> str:
    return _short(None if figure is None else figure.value)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
