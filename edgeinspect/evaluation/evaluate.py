"""Every picture of a test folder through a bundle and through the trivial baselines.

    DATA/test/*/*  ->  score, map, baseline features  ->  figures against labels and masks

A picture is read once and judged twice: as it is and, unless turned off, after it was brought to
the good pictures' mean and spread, so that neither can be what the score sees.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.bundle import MANIFEST, Bundle
from edgeinspect.constants import Calibration
from edgeinspect.data.layout import find_test, find_unlabelled, find_unread
from edgeinspect.digests import file_sha256, list_sha256
from edgeinspect.errors import DataError
from edgeinspect.evaluation.baselines import Baseline, score_baselines
from edgeinspect.evaluation.card import card_with_findings
from edgeinspect.evaluation.collecting import Collected, collect
from edgeinspect.evaluation.folder import new_folder, write_evaluation
from edgeinspect.evaluation.reference import Reference
from edgeinspect.evaluation.results import (
    Counts,
    Evaluation,
    EvaluationWarning,
    PartResult,
    Summary,
)
from edgeinspect.evaluation.rows import picture_rows
from edgeinspect.evaluation.settings import EvaluationSettings
from edgeinspect.evaluation.summary import Judged, summarise
from edgeinspect.evaluation.warnings import (
    about_figures,
    about_labels,
    about_leaks,
    about_pictures,
    about_training,
)
from edgeinspect.progress import OnProgress, no_progress
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.session import open_session

__all__ = ["evaluate", "evaluate_into"]

_log = logging.getLogger(__name__)


def evaluate(
    bundle: Bundle,
    data: Path,
    *,
    good: Path | None = None,
    settings: EvaluationSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> Evaluation:
    """Measure a calibrated bundle on the pictures of DATA/test.

    Args:
        good: good pictures for the baselines that compare with them; default DATA/train/good.
        on_progress: called with what is being done, how many are done, and of how many.
    Raises: NotCalibratedError; DataError if there is no test picture, or none can be read;
        EngineError if the runtime is not there.
    """
    settings = settings or EvaluationSettings()
    calibration = bundle.require_calibration()
    pictures = find_test(data)
    reference = Reference.read(
        bundle.config, data, good, equalise=settings.equalised, on_progress=on_progress
    )
    session = open_session(
        bundle, runtime=settings.runtime, batch=settings.batch, threads=settings.threads
    )
    with Inspector(bundle, session, batch=settings.batch) as inspector:
        collected = collect(inspector, pictures, data, reference, on_progress)
        runtime = inspector.runtime
    if len(collected.entries) == len(collected.not_finite):
        raise DataError(f"none of the {len(pictures)} test pictures of {data} could be judged")
    collected.unlabelled = [path.relative_to(data).as_posix() for path in find_unlabelled(data)]
    collected.unread = [path.relative_to(data).as_posix() for path in find_unread(data)]
    return _conclude(bundle, calibration, reference, collected, settings, runtime)


def evaluate_into(
    out: Path,
    bundle: Bundle,
    data: Path,
    *,
    good: Path | None = None,
    settings: EvaluationSettings | None = None,
    force: bool = False,
    on_progress: OnProgress = no_progress,
) -> Evaluation:
    """`evaluate`, then figures, card, charts and rows as the folder `out`, whole or not at all.

    Raises: as `evaluate`; OutputError if `out` cannot be written or is there without `force`.
    """
    settings = settings or EvaluationSettings()
    with new_folder(out, force=force) as folder:
        evaluation = evaluate(bundle, data, good=good, settings=settings, on_progress=on_progress)
        rows = {}
        if settings.n_rows_per_class:
            rows = picture_rows(bundle, data, evaluation, settings, on_progress)
        write_evaluation(evaluation, rows, card_with_findings(bundle, evaluation), folder)
    return evaluation


def _conclude(
    bundle: Bundle,
    calibration: Calibration,
    reference: Reference,
    collected: Collected,
    settings: EvaluationSettings,
    runtime: str,
) -> Evaluation:
    parts = _part_results(reference, collected)
    judged = Judged(
        parts=tuple(p for p in parts if math.isfinite(p.score)),
        tallies=collected.tallies,
        n_mapped=collected.n_mapped,
        is_equalised=reference.equaliser is not None,
        threshold=calibration.threshold,
        n_resamples=settings.n_resamples,
        seed=settings.seed,
    )
    summary = summarise(judged)
    tested = [file_sha256(entry.path) for entry in collected.entries]
    warnings = tuple(_warnings(bundle, calibration, reference, collected, summary, tested))
    for warning in warnings:
        _log.warning("%s", warning)
    labels = [part.label for part in judged.parts]
    return Evaluation(
        summary=summary,
        counts=Counts(
            by_class={label: labels.count(label) for label in dict.fromkeys(labels)},
            unreadable=tuple(collected.unreadable),
            not_finite=tuple(collected.not_finite),
            masks_missing=tuple(collected.masks_missing),
            n_reference=len(reference.features),
            test_sha256=list_sha256(tested),
        ),
        bundle=_bundle_facts(bundle, calibration, runtime),
        threshold=calibration.threshold.value,
        warnings=warnings,
        parts=parts,
    )


def _part_results(reference: Reference, collected: Collected) -> tuple[PartResult, ...]:
    """Every part with its scores, and those of the baselines beside them."""
    entries = collected.entries
    plain = score_baselines([e.features for e in entries], reference.features)
    equal: dict[Baseline, NDArray[np.float64]] = {}
    if reference.equaliser is not None:
        features = [e.equalised_features for e in entries if e.equalised_features is not None]
        equal = score_baselines(features, reference.equalised)
    return tuple(
        PartResult(
            name=entry.name,
            label=entry.label,
            is_defect=entry.is_defect,
            verdict=entry.verdict,
            score=entry.score,
            local_score=entry.local_score,
            global_score=entry.global_score,
            scale=entry.scale,
            equalised_score=entry.equalised_score,
            baselines={b: float(scores[i]) for b, scores in plain.items()},
            equalised_baselines={b: float(scores[i]) for b, scores in equal.items()},
            map_peak=entry.map_peak,
        )
        for i, entry in enumerate(entries)
    )


def _warnings(
    bundle: Bundle,
    calibration: Calibration,
    reference: Reference,
    collected: Collected,
    summary: Summary,
    tested: Sequence[str],
) -> Iterator[EvaluationWarning]:
    """All that must be known, the gravest first; `tested` are sha256 of test pictures."""
    provenance = bundle.manifest.provenance
    trained = list(provenance.get("training_pictures") or {})
    yield from reference.warnings
    yield from about_leaks(tested, trained, [file_sha256(path) for path in reference.paths])
    named = list(zip(tested, collected.entries, strict=True))
    yield from about_labels(
        good={digest: entry.name for digest, entry in named if not entry.is_defect},
        defects={digest: entry.name for digest, entry in named if entry.is_defect},
        unlabelled=collected.unlabelled,
        unread=collected.unread,
    )
    yield from about_figures(summary, calibration.threshold)
    yield from about_pictures(
        [e.features.appearance for e in collected.entries if not e.is_defect],
        [features.appearance for features in reference.features],
        [path.name for path in reference.paths],
    )
    yield from about_training(provenance)


def _bundle_facts(bundle: Bundle, calibration: Calibration, runtime: str) -> dict[str, Any]:
    """Which bundle, under which calibration, run by what; JSON types only."""
    manifest, threshold = bundle.manifest, calibration.threshold
    return {
        "name": manifest.name,
        "schema": manifest.schema,
        "tool_version": manifest.tool_version,
        "manifest_sha256": file_sha256(bundle.path / MANIFEST),
        "preset": bundle.config.preset,
        "calibration": manifest.calibration,
        "rule": calibration.rule.value,
        "normalisation": calibration.normalisation.value,
        "threshold": threshold.value,
        "threshold_ci95": list(threshold.interval),
        "false_reject_rate_asked": threshold.false_reject_rate,
        "runtime": runtime,
    }
