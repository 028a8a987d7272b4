"""Drift: whether parts, or their pictures, are still those that the bundle was calibrated on.

Beside the line, which `drift_watch` takes parts from. The scores of OK parts are compared with
those of the good parts of calibration, brightness, contrast and sharpness of all parts with those
of their pictures: a lamp that ages must not become a verdict. A window of the last parts slides
along; at each step the two-sample test of Kolmogorov and Smirnov (`data.shift`) says how often
chance makes a gap as large. A drift is told once, until the run is calibrated anew.

How often it is told without a drift: `FALSE_ALARMS` for each part that is looked at, over all that
is watched, if parts are independent of each other (the level of one test is that rate times the
parts of a step, shared among what is watched). Neighbours that are alike count for fewer parts, by
their correlation. Where that is high, or the good parts of calibration were neighbours themselves,
false alarms are more frequent all the same.

The first pictures are judged at once: where all of them lie far outside of what good ones had, it
is another part, light or camera from the start, and a short run would be over, all parts NG, before
a window is full. The watch goes on: its window may tell of the same figure once more.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.constants import Calibration
from edgeinspect.data.appearance import Appearance, Trait
from edgeinspect.data.shift import Gap, chance_of_gap, independent_count, largest_gap
from edgeinspect.numbers import percent
from edgeinspect.stream.notices import Notice, NoticeKind, tell

__all__ = [
    "FALSE_ALARMS",
    "FEWEST_GOOD",
    "N_FIRST",
    "STEP",
    "WINDOW",
    "Drift",
    "DriftMonitor",
    "DriftWindow",
]

_log = logging.getLogger(__name__)

WINDOW, STEP = 256, 64  # parts
FALSE_ALARMS = 1e-6  # expected, for each part that is looked at
SMALLEST_GAP = 0.25  # of many parts even a gap without consequence is sure
FEWEST_GOOD = 20  # below, nothing is sure
FEWEST_SAID = 8.0  # parts that a window is worth: as if of fewer, not even a dark picture were sure
N_FIRST = 3  # pictures: one may come before the lamp is on
# Times the largest of good pictures. Of three real parts, defects too, one picture reached 1.37,
# three in a row 1.04 (benchmarks/results/unlike_pictures.md).
FAR = 1.25
SCORE = "score"
WORDS = {
    SCORE: ("the scores of OK parts differ", "a score", "parts or pictures have changed"),
    Trait.MEAN.name: (
        "the brightness of pictures differs",
        "a mean grey value",
        "look at lamp and shutter, and whether 16-bit files reach the bundle's white_level_16bit",
    ),
    Trait.SPREAD.name: ("the contrast of pictures differs", "a contrast", "look at lamp and lens"),
    Trait.GRADIENT.name: (
        "the sharpness of pictures differs",
        "a gradient",
        "look at focus and lens",
    ),
}
NAMES = {SCORE: "score", "MEAN": "brightness", "SPREAD": "contrast", "GRADIENT": "sharpness"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A window that surely differs from the reference, by `gap`; `chance` is its p-value."""

    gap: Gap
    chance: float


class DriftWindow:
    """The last values of one figure against a reference (m,)."""

    def __init__(self, reference: NDArray[np.float64], *, level: float) -> None:
        """`level` is how often one test may find a drift where there is none."""
        self._reference = np.sort(reference[np.isfinite(reference)])
        self._level = level
        self._values: deque[float] = deque(maxlen=WINDOW)
        self._n_new = 0

    def add(self, value: float) -> Drift | None:
        """Take a value; at every step of a full window, what the test finds."""
        self._values.append(value)
        self._n_new += 1
        is_due = len(self._values) == WINDOW and self._n_new >= STEP
        if not is_due or len(self._reference) < FEWEST_GOOD:
            return None
        self._n_new = 0
        values = np.array(self._values)
        gap = largest_gap(values, self._reference)
        n_said = max(FEWEST_SAID, independent_count(values))
        chance = chance_of_gap(gap.size, n_said, len(self._reference))
        is_sure = gap.size >= SMALLEST_GAP and chance < self._level
        return Drift(gap=gap, chance=chance) if is_sure else None


class DriftMonitor:
    """Takes figures of parts, and tells what differs from calibration; for one thread.

    Attributes:
        n_scores, n_pictures: that were taken, by all calibrations.
        watches_pictures: whether a picture can still tell something.
    """

    def __init__(self, calibration: Calibration, note: Callable[[Notice], None]) -> None:
        """`note` is told of a drift, such as `Run.note`."""
        self.n_scores = self.n_pictures = 0
        self._note = note
        self._windows: dict[str, DriftWindow] = {}
        self.use(calibration)

    def use(self, calibration: Calibration) -> None:
        """Compare with another calibration from now on."""
        references = {
            name: values for name, values in _references(calibration) if len(values) >= FEWEST_GOOD
        }
        level = FALSE_ALARMS * STEP / max(1, len(references))
        self._windows = {n: DriftWindow(values, level=level) for n, values in references.items()}
        self._unwatched = _why_unwatched(calibration)
        self._looks = calibration.good_appearance
        self._first: list[NDArray[np.float64]] = []

    def say_unwatched(self) -> None:
        """Tell what cannot be watched with this calibration, if there is anything."""
        if self._unwatched is not None:
            tell(self._note, Notice.now(NoticeKind.UNWATCHED, self._unwatched))

    @property
    def watches_pictures(self) -> bool:
        return any(trait.name in self._windows for trait in Trait)

    def take_score(self, score: float) -> None:
        """The score of a part that is not above the threshold."""
        self.n_scores += 1
        self._take(SCORE, score)

    def take_picture(self, picture: NDArray[np.uint8]) -> None:
        """The picture of a part that was judged, (H, W, 3) or (H, W) grey."""
        self.n_pictures += 1
        values = Appearance.of(picture).as_row()
        if len(self._first) < N_FIRST:
            self._first.append(np.array(values))
            if len(self._first) == N_FIRST:
                self._tell_of_first(np.array(self._first))
        for trait, value in zip(Trait, values, strict=True):
            self._take(trait.name, value)

    def _tell_of_first(self, looks: NDArray[np.float64]) -> None:
        """The first trait in which all of the first pictures (n, 3) are far from good ones."""
        if len(self._looks) < FEWEST_GOOD:
            return
        for trait, values, good in zip(Trait, looks.T, self._looks.T, strict=True):
            lowest, highest = good.min() / FAR, good.max() * FAR
            if values.max() < lowest or values.min() > highest:
                is_lower = bool(values.max() < lowest)
                gap = Gap(
                    limit=float(lowest if is_lower else highest),
                    is_lower=is_lower, share=1.0, reference_share=0.0,
                )  # fmt: skip
                chance = 1 / math.comb(len(good) + N_FIRST, N_FIRST)  # all beyond all good ones
                self._tell(trait.name, Drift(gap=gap, chance=chance), f"first {N_FIRST}")
                return

    def _take(self, name: str, value: float) -> None:
        window = self._windows.get(name)
        drift = None if window is None else window.add(value)
        if drift is None:
            return
        del self._windows[name]  # it is told once
        self._tell(name, drift, f"last {WINDOW}")

    def _tell(self, name: str, drift: Drift, of: str) -> None:
        """`of` says which parts the drift is of."""
        values = {
            "trait": NAMES[name],
            "limit": drift.gap.limit,
            "is_lower": drift.gap.is_lower,
            "share": drift.gap.share,
            "reference_share": drift.gap.reference_share,
            "chance": drift.chance,
        }
        text = _words(name, drift.gap, of)
        tell(self._note, Notice.now(NoticeKind.DRIFT, text, values=values))


def _references(calibration: Calibration) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """What each figure was at calibration; scores of the good parts that are OK."""
    scores = calibration.good_scores
    yield SCORE, scores[scores <= calibration.threshold.value]
    if len(calibration.good_appearance):
        for trait, values in zip(Trait, calibration.good_appearance.T, strict=True):
            yield trait.name, values


def _why_unwatched(calibration: Calibration) -> str | None:
    """What cannot be watched with a calibration, why, and what to do; None: all is watched."""
    n_ok = len(dict(_references(calibration))[SCORE])
    n_pictures = len(calibration.good_appearance)
    lacks_scores, lacks_pictures = n_ok < FEWEST_GOOD, n_pictures < FEWEST_GOOD
    if not lacks_scores and not lacks_pictures:
        return None
    what = "brightness, contrast and sharpness" if lacks_pictures else "scores"
    what = "scores and pictures" if lacks_pictures and lacks_scores else what
    why = (
        "the bundle was calibrated before looks of pictures were kept; calibrate it again"
        if n_pictures == 0 and not lacks_scores
        else f"the bundle knows {n_ok} good parts that are OK, {FEWEST_GOOD} are needed;"
        " calibrate it with more good pictures"
    )
    return f"drift of {what} is not watched: {why}"


def _words(name: str, gap: Gap, of: str) -> str:
    what, one, advice = WORDS[name]
    return (
        f"drift: {what} from calibration: {percent(gap.share)} of the {of} have"
        f" {one} {gap.side} {gap.limit:.4g}, of the good parts then {percent(gap.reference_share)};"
        f" {advice}"
    )
