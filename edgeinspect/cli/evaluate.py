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
    from edgeinspect.evaluation.figures import Figure, ImageMetrics
    from edgeinspect.evaluation.results import Summary

__all__ = ["evaluate"]

_NOTES = MappingProxyType(
    {
        "unreadable": "pictures could not be judged",
        "not_finite": "scores were not finite",
        "masks_missing": "defects without a mask",
    }
)


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
    from edgeinspect.numbers import three_decimals

    summary = result.summary
    show_table(["", "AUROC (95 %)", "AP", "best F1", "equalised"], _score_lines(summary))
    if len(summary.classes) > 1:
        show_table(
            ["class", "n", "AUROC (95 %)", "recall", "pixel AUROC", "AUPRO"], _classes(summary)
        )
    image, pixel, counts = summary.image, summary.pixel, result.counts.plain()
    typer.echo(
        f"at the threshold {result.threshold:.4g}: F1 {_of(image.f1_at_threshold)},"
        f" precision {_of(image.precision_at_threshold)},"
        f" recall {_of(image.recall_at_threshold)},"
        f" false rejects {_of(image.false_reject_rate)}"
    )
    typer.echo(f"pixels: AUROC {three_decimals(pixel.auroc)}, AUPRO {three_decimals(pixel.aupro)}")
    notes = [f"; {counts[key]} {words}" for key, words in _NOTES.items() if counts[key]]
    typer.echo(f"{counts['good']} good parts, {counts['defects']} defects{''.join(notes)}")
    typer.echo(f"figures, charts and picture rows: {out}; what to know of them: {out / 'card.md'}")


def _score_lines(summary: Summary) -> list[list[str]]:
    equal = None if summary.equalised is None else summary.equalised.auroc
    lines = [["score", *_three(summary.image), _of(equal)]]
    lines += [["  local", *_three(summary.local), ""], ["  global", *_three(summary.global_), ""]]
    for baseline, figures in summary.baselines.items():
        mark = f" ({figures.direction})" if baseline.is_two_sided else ""
        after = None if figures.equalised is None else figures.equalised.auroc
        lines.append([f"{baseline.words}{mark}", *_three(figures.image), _of(after)])
    return lines


def _classes(summary: Summary) -> list[list[str]]:
    from edgeinspect.numbers import three_decimals

    return [
        [
            name,
            str(one.n),
            one.image.auroc.words,
            _of(one.image.recall_at_threshold),
            three_decimals(one.pixel.auroc),
            three_decimals(one.pixel.aupro),
        ]
        for name, one in summary.classes.items()
    ]


def _three(image: ImageMetrics) -> list[str]:
    return [image.auroc.words, _of(image.average_precision), _of(image.f1_max)]


def _of(figure: Figure | None) -> str:
    from edgeinspect.numbers import three_decimals

    return three_decimals(None if figure is None else figure.value)
