"""The bundle's card with what an evaluation found: warnings, figures, and failures by name.

Last step of the figures. `evaluate` changes no bundle, so its folder gets a card of its own, which
holds all that the bundle's says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgeinspect.bundle import Bundle
from edgeinspect.card import markdown_table, write_card
from edgeinspect.config import Measure
from edgeinspect.evaluation.figures import Figure, ImageMetrics, PixelMetrics
from edgeinspect.evaluation.peaks import MapPeak
from edgeinspect.evaluation.results import Evaluation, PartResult, Summary
from edgeinspect.numbers import percent, percent_range, three_decimals
from edgeinspect.runtime.inspection import Verdict

__all__ = ["card_with_findings"]

_WHOLE = (
    " A part whose measure is `whole` stands out as a whole, more than at the peak of its map,"
    " which is that of another measure."
)
N_SHOWN = 5  # of the highest good parts and of the lowest defects


def card_with_findings(bundle: Bundle, evaluation: Evaluation) -> str:
    """Markdown, with nothing outside it that it needs."""
    findings = [_warnings(evaluation), _figures(evaluation), _failures(bundle, evaluation)]
    return write_card(bundle.manifest, bundle.config, bundle.calibration, findings=findings)


def _warnings(evaluation: Evaluation) -> str:
    lines = [f"- {warning.text[0].upper()}{warning.text[1:]}.\n" for warning in evaluation.warnings]
    return "## Warnings\n\n" + ("".join(lines) or "None of those that `evaluate` knows.\n")


def _figures(evaluation: Evaluation) -> str:
    summary, counts = evaluation.summary, evaluation.counts.plain()
    n_left_out = counts["unreadable"] + counts["not_finite"]
    left_out = f"; {n_left_out} more could not be judged" if n_left_out else ""
    return (
        f"## Figures\n\nOn {counts['good']} good parts and {counts['defects']} defects{left_out}"
        f" (sha256 of the list `{counts['test_sha256'][:16]}`), judged by"
        f" {evaluation.bundle['runtime']}.\n\n"
        + markdown_table(("score", "AUROC (95 %)", "after equal mean and spread"), _scores(summary))
        + f"\n{_at_threshold(summary.image)}\n\n"
        + markdown_table(("class", "n", "AUROC (95 %)", "found", "pixel AUROC"), _classes(summary))
        + f"\n{_found_by_the_map(summary.pixel)}\n"
    )


def _found_by_the_map(pixel: PixelMetrics) -> str:
    if not pixel.n_regions:
        return "No defect was drawn, so nothing is known of where the map finds them."
    return (
        f"The map finds the drawn defects with a pixel AUROC of {three_decimals(pixel.auroc)} and"
        f" an AUPRO of {three_decimals(pixel.aupro)} ({pixel.n_regions} regions in"
        f" {pixel.n_pictures} pictures)."
    )


def _scores(summary: Summary) -> list[tuple[str, str, str]]:
    lines = [("of the verdict", summary.image.auroc.words, _auroc(summary.equalised))]
    lines += [("local", summary.local.auroc.words, ""), ("global", summary.global_.auroc.words, "")]
    for baseline, result in summary.baselines.items():
        which = {"+": "higher", "-": "lower"}[result.direction]
        mark = f" ({which} for defects)" if baseline.is_two_sided else ""
        name = f"{baseline.words} alone{mark}"
        lines.append((name, result.image.auroc.words, _auroc(result.equalised)))
    return lines


def _auroc(image: ImageMetrics | None) -> str:
    return three_decimals(None if image is None else image.auroc.value)


def _at_threshold(image: ImageMetrics) -> str:
    return (
        f"At the threshold {_share(image.recall_at_threshold)} of the defects and"
        f" {_share(image.false_reject_rate)} of the good parts are NG."
    )


def _share(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "an unknown share"
    interval = "" if figure.ci95 is None else f" (95 %: {percent_range(figure.ci95)})"
    return f"{percent(figure.value)}{interval}"


def _classes(summary: Summary) -> list[tuple[str, ...]]:
    return [
        (
            name,
            str(one.n),
            one.image.auroc.words,
            _share(one.image.recall_at_threshold),
            three_decimals(one.pixel.auroc),
        )
        for name, one in summary.classes.items()
    ]


def _failures(bundle: Bundle, evaluation: Evaluation) -> str:
    """The good parts nearest to being rejected, or beyond, and the defects that pass."""
    judged = [part for part in evaluation.parts if np.isfinite(part.score)]
    good = sorted((p for p in judged if not p.is_defect), key=lambda part: -part.score)
    defects = sorted((p for p in judged if p.is_defect), key=lambda part: part.score)
    n_rejected = sum(part.verdict is Verdict.NG for part in good)
    n_missed = sum(part.verdict is Verdict.OK for part in defects)
    g = bundle.config.generator
    blocks_px = [scale * g.patch for scale in g.mask_scales]
    whole = _WHOLE if Measure.WHOLE in bundle.config.scoring.measures else ""
    return (
        f"## Failures\n\n{n_rejected} of {len(good)} good parts are NG, {n_missed} of"
        f" {len(defects)} defects are OK; the threshold is {evaluation.threshold:.4g}. The map"
        " peaks in the box x, y, width, height, in px of the picture, inside which it is above half"
        " of its maximum; blocks are those of the mask, in px of the model. The distance runs from"
        f" the maximum to the nearest pixel of the drawn defect.{whole}\n"
        + _parts("Highest good parts", good[:N_SHOWN], blocks_px)
        + _parts("Lowest defects", defects[:N_SHOWN], blocks_px)
    )


def _parts(title: str, parts: Sequence[PartResult], blocks_px: Sequence[int]) -> str:
    if not parts:
        return ""
    is_defect = parts[0].is_defect
    header = ["picture", "score", "verdict", "the map peaks in", "area", "measure, blocks"]
    lines = [
        [f"`{part.name}`", f"{part.score:.4g}", part.verdict.value, *_peak(part, blocks_px)]
        for part in parts
    ]
    if is_defect:
        header.append("from the defect")
        for line, part in zip(lines, parts, strict=True):
            line.append(_distance(part.map_peak))
    return f"\n### {title}\n\n{markdown_table(header, lines)}"


def _peak(part: PartResult, blocks_px: Sequence[int]) -> Iterable[str]:
    peak = part.map_peak
    if peak is None:
        return "-", "-", "-"
    box = ", ".join(map(str, peak.region.box))
    blocks = f", {blocks_px[part.scale]} px" if peak.measure.has_places else ""
    return box, f"{peak.region.area_px} px", f"{peak.measure.value}{blocks}"


def _distance(peak: MapPeak | None) -> str:
    if peak is None or peak.distance_px is None:
        return "no mask"
    return "on it" if peak.distance_px == 0 else f"{peak.distance_px:.0f} px"
