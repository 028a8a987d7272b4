"""Choosing a rule on synthetic defects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from edgeinspect.calibration import selection
from edgeinspect.calibration.candidates import Candidate
from edgeinspect.calibration.crossfit import FoldSums, crossfit
from edgeinspect.calibration.good_maps import MapCache, collect_good_maps
from edgeinspect.calibration.normalisation import MapConstants
from edgeinspect.calibration.selection import (
    SEVERITIES,
    Selector,
    Trial,
    choose_trial,
    compare_auroc,
    select_candidate,
)
from edgeinspect.config import (
    Measure,
    Normalisation,
    PreprocessConfig,
    ResizeRule,
    Rule,
    ScoringConfig,
    Statistic,
)
from edgeinspect.data.images import save_picture
from edgeinspect.data.synthetic.pasting import paste_defect
from edgeinspect.progress import no_progress
from tests.bundles import good_picture

SIZE = 32
SCORING = ScoringConfig(measures=(Measure.L1, Measure.SSIM))
PREPROCESS = PreprocessConfig(size=SIZE, resize=ResizeRule.TILE, overlap_px=0)


class OneMeasureSees:
    """A maps graph: the first measure is noise, the second |grey - 120|; counts images."""

    name = "fake"

    def __init__(self) -> None:
        self.n_images = 0

    def error_maps(self, images: np.ndarray) -> np.ndarray:
        self.n_images += len(images)
        grey = images[..., 0].astype(np.float32)
        blind = np.stack([np.random.default_rng(int(g.sum())).gamma(4, 1, g.shape) for g in grey])
        maps = np.stack([blind.astype(np.float32), np.abs(grey - 120)], axis=1)
        return maps[:, :, None]


def candidate(measure: Measure) -> Candidate:
    return Candidate(
        rule=Rule.PEAK,
        measures=(measure,),
        statistics=(Statistic.MAX,),
        normalisation=Normalisation.BLOCK,
    )


BLIND, SEEING = candidate(Measure.L1), candidate(Measure.SSIM)


def paste_only(picture: np.ndarray, rng: np.random.Generator, *, severity: float) -> np.ndarray:
    """Defects that a measure of grey levels alone can see."""
    return paste_defect(picture, rng, severity=severity).picture


@pytest.fixture
def selector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Selector]:
    monkeypatch.setattr(selection, "harm_part", paste_only)
    paths = [tmp_path / f"{i}.png" for i in range(20)]
    for i, path in enumerate(paths):
        save_picture(path, good_picture(i, (SIZE, 2 * SIZE)))
    session = OneMeasureSees()
    with MapCache() as cache:
        good = collect_good_maps(
            session,  # type: ignore[arg-type]
            paths,
            PREPROCESS,
            cache,
            on_progress=no_progress,
            on_skipped=lambda path, what: None,
        )
        block = Normalisation.BLOCK
        fit = crossfit(good, FoldSums.of(good, 1), block, (8,), SCORING, on_progress=no_progress)
        yield Selector(
            session=session,  # type: ignore[arg-type]
            good=good,
            fits={block: fit},
            preprocess=PREPROCESS,
            scoring=SCORING,
            n_scales=1,
            seed=0,
            on_progress=no_progress,
        )


def test_the_measure_that_sees_the_defects_is_chosen(selector: Selector) -> None:
    found = select_candidate(selector, [BLIND, SEEING])
    assert found.chosen == SEEING
    assert found.trials[1].auroc >= 0.75 > found.trials[0].auroc
    assert "better than the default by" in found.reason


def test_a_default_that_is_best_stays(selector: Selector) -> None:
    found = select_candidate(selector, [SEEING, BLIND])
    assert (found.chosen, found.reason) == (SEEING, "the default was best")


@pytest.mark.parametrize(("lead", "chosen"), [(0.029, BLIND), (0.031, SEEING)])
def test_a_lead_within_its_standard_error_leaves_the_default(
    lead: float, chosen: Candidate
) -> None:
    default = Trial(candidate=BLIND, auroc=0.8, lead=0, lead_error=0)
    better = Trial(candidate=SEEING, auroc=0.8 + lead, lead=lead, lead_error=0.03)
    assert choose_trial([default, better])[0].candidate == chosen


def test_copies_are_normalised_by_the_constants_of_their_own_fold(selector: Selector) -> None:
    fit = selector.fits[Normalisation.BLOCK]
    shape = (1, 2, 1, SIZE, SIZE)
    marked = tuple(
        MapConstants(
            map_mean=np.full(shape, 1000 * k, np.float32), map_inv_std=np.ones(shape, np.float32)
        )
        for k in range(5)
    )
    fits = {Normalisation.BLOCK: dataclasses.replace(fit, fold_constants=marked)}
    rows, picture = dataclasses.replace(selector, fits=fits).pasted_statistics(0.5)
    is_changed = (rows[Normalisation.BLOCK] != fit.statistics).any(axis=1)
    largest = rows[Normalisation.BLOCK][is_changed, 3]
    assert np.round(-largest / 1000).tolist() == fit.fold[picture[is_changed]].tolist()


def test_severity_rises_only_until_the_best_reaches_the_target(selector: Selector) -> None:
    found = select_candidate(selector, [SEEING])
    below = SEVERITIES[SEVERITIES.index(found.severity) - 1]
    assert found.severity > SEVERITIES[0]
    assert selector.try_all([SEEING], below)[0][0].auroc < 0.75


def test_the_default_stays_when_nothing_sees_even_strong_defects(selector: Selector) -> None:
    found = select_candidate(selector, [BLIND, candidate(Measure.L1)])
    assert found.chosen == BLIND
    assert found.severity == SEVERITIES[-1]
    assert "no candidate reached 0.75" in found.reason


def test_only_images_that_a_defect_touches_run_through_the_graph(selector: Selector) -> None:
    session = selector.session
    assert isinstance(session, OneMeasureSees)
    before = session.n_images
    rows, picture = selector.pasted_statistics(0.5)
    changed = (rows[Normalisation.BLOCK] != selector.fits[Normalisation.BLOCK].statistics).any(1)
    assert len(picture) == 40
    assert 20 <= changed.sum() <= session.n_images - before < 40


def test_large_samples_are_thinned_evenly(
    selector: Selector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MAX_PASTED", 5)
    _, picture = selector.pasted_statistics(0.5)
    assert np.unique(picture).tolist() == [0, 5, 10, 14, 19]


def test_what_was_tried_is_kept_in_json_types(selector: Selector) -> None:
    plain = select_candidate(selector, [BLIND, SEEING]).plain()
    assert plain["chosen"] == "peak of ssim (max, mean both ways), block"
    assert [trial["name"] for trial in plain["tried"]] == [BLIND.name, SEEING.name]
    assert plain["n_pasted"] == plain["n_untouched"] == 20


def test_auroc_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    clean, pasted = rng.normal(size=30).round(1), rng.normal(1, size=20).round(1)
    labels = np.repeat([0, 1], [30, 20])
    auroc, lead, error = compare_auroc(clean, pasted, clean, pasted)
    assert auroc == pytest.approx(roc_auc_score(labels, np.concatenate([clean, pasted])))
    assert (lead, error) == (0, 0)


def test_the_lead_varies_between_samples_by_its_standard_error() -> None:
    rng = np.random.default_rng(1)

    def one() -> tuple[float, float]:
        clean, pasted = rng.normal(size=(2, 40)), rng.normal(0.8, size=(2, 30))
        clean[1] += 0.5 * clean[0]
        pasted[1] += 0.5 * pasted[0]
        _, lead, error = compare_auroc(clean[0], pasted[0], clean[1], pasted[1])
        return lead, error

    leads, errors = np.transpose([one() for _ in range(300)])
    assert errors.mean() == pytest.approx(leads.std(), rel=0.15)
