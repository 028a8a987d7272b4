"""Figures per score, class and baseline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edgeinspect.constants import Threshold
from edgeinspect.evaluation.baselines import Baseline
from edgeinspect.evaluation.figures import Figure, measure_images
from edgeinspect.evaluation.results import PartResult, Summary
from edgeinspect.evaluation.summary import Judged, summarise
from edgeinspect.pixel_metrics import PixelTally
from edgeinspect.runtime.inspection import Verdict


def part(label: str, score: float, **changes: object) -> PartResult:
    values: dict[str, object] = {
        "name": f"test/{label}/{score}.png",
        "label": label,
        "is_defect": label != "good",
        "verdict": Verdict.NG if score > 2 else Verdict.OK,
        "score": score,
        "local_score": score,
        "global_score": -score,
        "scale": 0,
        "equalised_score": score,
        "baselines": {},
        "equalised_baselines": {},
    }
    return PartResult(**{**values, **changes})  # type: ignore[arg-type]


def summary(parts: Sequence[PartResult], *, rate: float = 0.05, **changes: object) -> Summary:
    threshold = Threshold(
        value=2.0,
        false_reject_rate=rate,
        interval=(1.0, 3.0),
        rate_interval=(0.0, 0.1),
        method="empirical",
        n_good=20,
    )
    values: dict[str, object] = {
        "parts": parts,
        "tallies": {},
        "n_mapped": {},
        "is_equalised": True,
        "threshold": threshold,
        "n_resamples": 50,
        "seed": 0,
        **changes,
    }
    return summarise(Judged(**values))  # type: ignore[arg-type]


GOOD = [part("good", s / 10) for s in range(20)]
PITS = [part("pit", 3 + s / 10) for s in range(10)]
DENTS = [part("dent", s / 10) for s in range(10)]


def with_baseline(parts: list[PartResult], baseline: Baseline, sign: int) -> list[PartResult]:
    return [
        part(
            p.label,
            p.score,
            baselines={baseline: sign * p.score},
            equalised_baselines={baseline: 0.0},
        )
        for p in parts
    ]


def test_local_and_global_scores_have_figures_of_their_own() -> None:
    got = summary(GOOD + PITS)
    assert (got.image.auroc.value, got.local.auroc.value, got.global_.auroc.value) == (1, 1, 0)
    assert got.image.recall_at_threshold is not None
    assert got.local.recall_at_threshold is None


def test_each_class_is_measured_against_all_good_parts() -> None:
    got = summary(GOOD + PITS + DENTS)
    assert list(got.classes) == ["pit", "dent"]
    assert got.classes["pit"].image.auroc.value == 1
    assert got.classes["dent"].image.auroc.value == pytest.approx(0.25)
    assert got.classes["dent"].n == 10


@pytest.mark.parametrize(("sign", "direction"), [(1, "+"), (-1, "-")])
def test_the_better_direction_of_brightness_is_reported_with_its_sign(
    sign: int, direction: str
) -> None:
    got = summary(with_baseline(GOOD + PITS, Baseline.MEAN, sign)).baselines[Baseline.MEAN]
    assert (got.image.auroc.value, got.direction) == (1.0, direction)
    assert got.equalised is not None
    assert got.equalised.auroc.value == 0.5


def test_a_one_sided_baseline_is_not_turned_around() -> None:
    got = summary(with_baseline(GOOD + PITS, Baseline.PCA, -1)).baselines[Baseline.PCA]
    assert (got.image.auroc.value, got.direction) == (0.0, "+")


def test_without_equalised_pictures_there_are_no_such_figures() -> None:
    got = summary(GOOD + PITS, is_equalised=False)
    assert got.equalised is None
    assert got.classes["pit"].equalised_auroc is None


def test_pixels_of_a_class_are_measured_with_those_of_good_parts() -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:4, 2:4] = True
    tallies = {
        "good": PixelTally.of(np.full((8, 8), 2.0), ~mask & mask),
        "pit": PixelTally.of(mask * 1.0, mask),
    }
    got = summary(GOOD + PITS, tallies=tallies, n_mapped={"good": 1, "pit": 1})
    assert got.pixel.auroc == pytest.approx(60 / 124)  # below every pixel of the good part
    assert (got.pixel.n_pictures, got.pixel.n_regions) == (2, 1)
    assert got.classes["pit"].pixel == got.pixel


@pytest.mark.parametrize("parts", [GOOD, PITS])
def test_one_class_alone_cannot_be_ranked(parts: list[PartResult]) -> None:
    got = summary(parts)
    assert got.image.auroc.value is None


def test_a_rate_that_is_counted_has_an_interval_by_its_count() -> None:
    scores, labels = np.array([0.0] * 8 + [2.0] * 3), np.array(["good"] * 8 + ["pit"] * 3)
    found = measure_images(scores, labels, threshold=1.0, seed=0, n_resamples=10)
    assert found.false_reject_rate == Figure(
        value=0.0, ci95=(0.0, pytest.approx(0.36942, abs=1e-5))
    )
    assert found.recall_at_threshold == Figure(
        value=1.0, ci95=(pytest.approx(0.29240, abs=1e-5), 1.0)
    )
