"""The card of an evaluation: warnings, figures and failures, on top of the bundle's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgeinspect.bundle import CARD, Bundle, read_bundle
from edgeinspect.config import Measure
from edgeinspect.evaluation import Evaluation, EvaluationSettings, evaluate_into
from edgeinspect.evaluation.card import card_with_findings
from edgeinspect.evaluation.figures import PixelMetrics
from tests.bundles import make_bundle
from tests.evaluation.parts_folder import N_LINE, make_parts

QUICK = EvaluationSettings(runtime="onnxruntime", threads=1, n_resamples=20, n_rows_per_class=0)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Evaluation, Path]:
    place = tmp_path_factory.mktemp("card")
    parts, bundle = make_parts(place / "parts"), read_bundle(make_bundle(place))
    evaluation = evaluate_into(place / "out", bundle, parts, settings=QUICK)
    return bundle, evaluation, place


def test_the_folder_holds_the_card_and_the_bundle_is_as_it_was(
    evaluated: tuple[Bundle, Evaluation, Path],
) -> None:
    bundle, evaluation, place = evaluated
    assert (place / "out" / CARD).read_text() == card_with_findings(bundle, evaluation)
    assert read_bundle(bundle.path).manifest == bundle.manifest


def test_it_holds_all_that_the_bundles_card_says(
    evaluated: tuple[Bundle, Evaluation, Path],
) -> None:
    bundle, evaluation, _ = evaluated
    own = (bundle.path / CARD).read_text().splitlines()
    card = card_with_findings(bundle, evaluation).splitlines()
    (measure_it,) = [line for line in own if line not in card]
    assert "is not in this card: measure it on your own defects" in measure_it


def test_it_names_no_place_of_this_machine(evaluated: tuple[Bundle, Evaluation, Path]) -> None:
    bundle, evaluation, place = evaluated
    assert str(place) not in card_with_findings(bundle, evaluation)


def test_figures_stand_beside_the_trivial_ones(evaluated: tuple[Bundle, Evaluation, Path]) -> None:
    bundle, evaluation, _ = evaluated
    card = card_with_findings(bundle, evaluation)
    assert "On 6 good parts and 7 defects (sha256 of the list `" in card
    assert f"| of the verdict | {evaluation.summary.image.auroc.words} |" in card
    assert "| contrast alone (higher for defects) | " in card
    assert "| PCA residual alone | " in card
    assert "| spot | 4 | " in card


def test_where_no_defect_was_drawn_the_map_has_no_figures(
    evaluated: tuple[Bundle, Evaluation, Path],
) -> None:
    bundle, evaluation, _ = evaluated
    none = PixelMetrics(auroc=None, aupro=None, n_pictures=6, n_regions=0)
    undrawn = dataclasses.replace(evaluation.summary, pixel=none)
    card = card_with_findings(bundle, dataclasses.replace(evaluation, summary=undrawn))
    assert "No defect was drawn" in card
    assert "pixel AUROC of" not in card


def test_every_warning_is_a_sentence_of_the_list(
    evaluated: tuple[Bundle, Evaluation, Path],
) -> None:
    bundle, evaluation, _ = evaluated
    card = card_with_findings(bundle, evaluation)
    listed = card[card.index("## Warnings") : card.index("## Figures")]
    assert listed.count("\n- ") == len(evaluation.warnings) > 0
    silent = dataclasses.replace(evaluation, warnings=())
    assert "None of those" in card_with_findings(bundle, silent)


def test_the_lowest_defects_are_named_with_where_the_map_peaks(
    evaluated: tuple[Bundle, Evaluation, Path],
) -> None:
    bundle, evaluation, _ = evaluated
    card = card_with_findings(bundle, evaluation)
    defects = card[card.index("### Lowest defects") : card.index("## Use and limits")]
    rows = [line for line in defects.splitlines() if line.startswith("| `test/")]
    scores = [float(row.split(" | ")[1]) for row in rows]
    assert scores == sorted(scores)
    assert sum("no mask" in row for row in rows) == N_LINE
    assert "| 40, 32, 8, 8 | 64 px | " in defects
    assert "| on it |" in defects


def test_a_part_that_stands_out_as_a_whole_is_given_no_blocks(
    evaluated: tuple[Bundle, Evaluation, Path],
) -> None:
    bundle, evaluation, _ = evaluated
    parts = []
    for part in evaluation.parts:
        assert part.map_peak is not None
        peak = dataclasses.replace(part.map_peak, measure=Measure.WHOLE)
        parts.append(dataclasses.replace(part, map_peak=peak))
    card = card_with_findings(bundle, dataclasses.replace(evaluation, parts=tuple(parts)))
    rows = [line for line in card.splitlines() if line.startswith("| `test/")]
    assert rows
    assert all(" | whole |" in row for row in rows)


def test_good_parts_run_from_the_highest_score_down(
    evaluated: tuple[Bundle, Evaluation, Path],
) -> None:
    bundle, evaluation, _ = evaluated
    card = card_with_findings(bundle, evaluation)
    good = card[card.index("### Highest good parts") : card.index("### Lowest defects")]
    best = max((p for p in evaluation.parts if not p.is_defect), key=lambda part: part.score)
    rows = [line for line in good.splitlines() if line.startswith("| `test/")]
    assert rows[0].startswith(f"| `{best.name}` | {best.score:.4g} | {best.verdict.value} |")
    assert len(rows) == 5
