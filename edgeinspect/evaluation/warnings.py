"""What must be known before a figure is believed, with the numbers that say so and what to do.

After the figures: shortcuts of the test set, good pictures that are not alike, training that gains
nothing. Each check gives at most one sentence of a kind, and none where the data cannot say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeinspect.constants import Threshold
from edgeinspect.data.appearance import Appearance
from edgeinspect.data.images import UNREAD_HINT
from edgeinspect.data.populations import find_populations
from edgeinspect.data.shift import find_shifts
from edgeinspect.evaluation.baselines import Baseline
from edgeinspect.evaluation.figures import Figure
from edgeinspect.evaluation.results import (
    BaselineResult,
    EvaluationWarning,
    Summary,
    WarningKind,
)
from edgeinspect.numbers import percent, percent_range

__all__ = ["about_figures", "about_labels", "about_leaks", "about_pictures", "about_training"]

EQUALISED_LOSS = 0.1  # a fall by more than this says that brightness or contrast was the clue


def about_figures(summary: Summary, threshold: Threshold) -> Iterator[EvaluationWarning]:
    """Whether the score sees more than something trivial, and whether the threshold held."""
    auroc = summary.image.auroc.value
    if auroc is None:
        text = (
            "the test pictures are all good or all defects, so nothing can be ranked: give both,"
            " in test/good and test/DEFECT"
        )
        yield EvaluationWarning(kind=WarningKind.ONE_CLASS, text=text)
    else:
        yield from _about_chance(summary.image.auroc)
        for baseline, result in summary.baselines.items():
            if baseline.is_two_sided:
                yield from _about_shortcut(baseline, result, summary)
            else:
                yield from _about_baseline(baseline, result, auroc)
        yield from _about_equalised(summary, auroc)
    yield from _about_false_rejects(summary, threshold)


def _about_chance(score: Figure) -> Iterator[EvaluationWarning]:
    """The score may rank no better than a coin."""
    if score.ci95 is not None and score.ci95[0] <= 0.5:
        text = (
            f"the score has an AUROC of {score.words}, which chance reaches too: it says nothing"
            " sure about these defects; train longer, at a larger size, or calibrate --select"
        )
        yield EvaluationWarning(kind=WarningKind.CHANCE, text=text)


def _about_shortcut(
    baseline: Baseline, result: BaselineResult, summary: Summary
) -> Iterator[EvaluationWarning]:
    """Brightness or contrast alone, itself above chance, reaches the score's interval."""
    score, alone = summary.image.auroc, result.image.auroc
    low, low_alone = _lower_end(score), _lower_end(alone)
    if alone.value is None or alone.value < low or low_alone <= 0.5:
        return
    which = {"+": "higher", "-": "lower"}[result.direction]
    after = None if summary.equalised is None else summary.equalised.auroc.value
    read = "" if after is None else f" read the {after:.3f} after equal mean and spread, and"
    text = (
        f"{baseline.words} alone ({which} for defects) has an AUROC of {alone.words}, the"
        f" score {score.words}, so the score need not see a defect:{read} take good test pictures"
        " and defects under the same light"
    )
    yield EvaluationWarning(kind=WarningKind.SHORTCUT, text=text)


def _lower_end(figure: Figure) -> float:
    """Of its interval; the figure itself where there is none."""
    return (figure.value or 0.0) if figure.ci95 is None else figure.ci95[0]


def _about_baseline(
    baseline: Baseline, result: BaselineResult, auroc: float
) -> Iterator[EvaluationWarning]:
    """A score without training ranks as well."""
    alone = result.image.auroc.value
    if alone is None or alone < auroc:
        return
    figures = f"{baseline.words} alone has an AUROC of {alone:.3f}, the score {auroc:.3f}"
    text = f"{figures}: training gains nothing over it yet; train longer, or calibrate --select"
    kind = WarningKind.SMOOTH_FILL if baseline is Baseline.FILL else WarningKind.BASELINE
    yield EvaluationWarning(kind=kind, text=text)


def _about_equalised(summary: Summary, auroc: float) -> Iterator[EvaluationWarning]:
    after = None if summary.equalised is None else summary.equalised.auroc.value
    if after is not None and auroc - after > EQUALISED_LOSS:
        text = (
            f"after equal mean and spread the AUROC falls from {auroc:.3f} to {after:.3f}: part of"
            " the score is brightness or contrast; believe the second if light may vary"
        )
        yield EvaluationWarning(kind=WarningKind.EQUALISED, text=text)


def _about_false_rejects(summary: Summary, threshold: Threshold) -> Iterator[EvaluationWarning]:
    """The interval of the rate got and that of the rate to expect have nothing in common."""
    rate = summary.image.false_reject_rate
    if rate is None or rate.value is None or rate.ci95 is None:
        return
    low, high = threshold.rate_interval
    is_above, is_below = rate.ci95[0] > high, rate.ci95[1] < low
    if is_above or is_below:
        text = (
            f"at the threshold {percent(rate.value)} ({percent_range(rate.ci95)}) of the good test"
            f" parts are NG, where calibration promised {percent(threshold.false_reject_rate)}"
            f" ({percent_range(threshold.rate_interval)}): they differ from those that calibrated;"
            " calibrate again on good parts as they come from the line"
        )
        yield EvaluationWarning(kind=WarningKind.FALSE_REJECTS, text=text)


def about_pictures(
    test_good: Sequence[Appearance], good: Sequence[Appearance], names: Sequence[str]
) -> Iterator[EvaluationWarning]:
    """Whether good pictures are alike: those given among each other, those tested with them.

    `names` are those of `good`.
    """
    groups = find_populations(good)
    if groups is not None:
        text = (
            f"{groups.tell(names)}: if these are two lots, exposures or lights, figures and"
            " threshold mix them; make a bundle of each, or take pictures of one kind"
        )
        yield EvaluationWarning(kind=WarningKind.POPULATIONS, text=text)
    shifts = find_shifts(test_good, good)
    if shifts:
        first, others = shifts[0], " and ".join(shift.trait.value for shift in shifts[1:])
        also = f" ({others} differ{'s' if len(shifts) == 2 else ''} too)" if others else ""
        gap = first.gap
        text = (
            f"of the {len(test_good)} good test pictures {percent(gap.share)} have a"
            f" {first.trait.value} {gap.side} {gap.limit:.4g}, of the {len(good)} good ones given"
            f" {percent(gap.reference_share)}{also}, so figures measure that difference too: test"
            " with good pictures taken as those were, or hold some of those out of training"
        )
        yield EvaluationWarning(kind=WarningKind.TEST_GOOD_DIFFER, text=text)


def about_training(provenance: Mapping[str, Any]) -> Iterator[EvaluationWarning]:
    """Whether the generator that was exported beats none on held-out good pictures."""
    state = provenance.get("training") or {}
    error, fill_error = state.get("best_error"), state.get("fill_error")
    is_held_out = provenance.get("n_holdout") != 0
    on = "held-out good pictures" if is_held_out else "the pictures that trained"
    if state.get("best_step") == 0:
        text = (
            f"no step of training made the generator's error on {on} smaller than it was at the"
            " start, and that of the start was exported: it has learnt nothing yet; train longer"
        )
    elif error is not None and fill_error is not None and error >= fill_error:
        text = (
            f"on {on} the generator's error is {error:.4g}, without it {fill_error:.4g}: it has"
            " learnt nothing yet; train longer"
        )
    else:
        return
    yield EvaluationWarning(kind=WarningKind.NOT_LEARNT, text=text)


def about_leaks(
    tested: Sequence[str], trained: Sequence[str], compared: Sequence[str]
) -> Iterator[EvaluationWarning]:
    """Whether test pictures trained the model or stand behind the baselines; all sha256."""
    if n := _n_among(tested, trained):
        text = (
            f"test pictures that trained the model: {n} of {len(tested)}, so the figures are too"
            " good: take others"
        )
        yield EvaluationWarning(kind=WarningKind.TRAINED_ON, text=text)
    if n := _n_among(tested, compared):
        text = (
            f"test pictures that are among the good ones given as well: {n} of {len(tested)}, so"
            " nearest neighbour, PCA and smooth fill are too good: give others with --good"
        )
        yield EvaluationWarning(kind=WarningKind.COMPARED_WITH, text=text)


def about_labels(
    good: Mapping[str, str],
    defects: Mapping[str, str],
    unlabelled: Sequence[str],
    unread: Sequence[str],
) -> Iterator[EvaluationWarning]:
    """Whether each test picture has one label and was judged; names, of two of them by sha256."""
    if both := [digest for digest in defects if digest in good]:
        names = f"{defects[both[0]]} is {good[both[0]]}"
        text = (
            f"test pictures that lie among the good ones and among the defects: {len(both)}"
            f" ({names}); the figures are wrong: leave each where it belongs"
        )
        yield EvaluationWarning(kind=WarningKind.TWO_LABELS, text=text)
    if unlabelled:
        text = (
            f"pictures beside the folders of test pictures, which were not evaluated:"
            f" {len(unlabelled)} ({unlabelled[0]} is one): move them into test/good or test/DEFECT"
        )
        yield EvaluationWarning(kind=WarningKind.UNLABELLED, text=text)
    if unread:
        text = (
            f"test pictures of a kind that is not read, which were not evaluated: {len(unread)}"
            f" ({unread[0]} is one): {UNREAD_HINT}"
        )
        yield EvaluationWarning(kind=WarningKind.UNREAD, text=text)


def _n_among(digests: Sequence[str], others: Sequence[str]) -> int:
    known = set(others)
    return sum(digest in known for digest in digests)
