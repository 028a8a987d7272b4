"""Drift: whether parts, or their pictures, are still those that the bundle was calibrated on.

Beside the line, as one of its sinks. The scores of OK parts are compared with those of the good
parts of calibration, brightness, contrast and sharpness of all parts with those of their pictures:
a lamp that ages must not become a verdict. A window of the last parts slides along; at each step
the two-sample test of Kolmogorov and Smirnov (`data.shift`) says how often chance makes a gap as
large. A drift is told once, until the run is calibrated anew.

How often it is told without a drift: `FALSE_ALARMS` for each part that is looked at, over all that
is watched, if parts are independent of each other (the level of one test is that rate times the
parts of a step, shared among what is watched). Neighbours that are alike make false alarms more
frequent: the same part before the camera over and over is no sample.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.constants import Calibration
from edgeinspect.data.appearance import Appearance, Trait
from edgeinspect.data.shift import Gap, chance_of_gap, largest_gap
from edgeinspect.numbers import percent
from edgeinspect.runtime.inspector import Verdict
from edgeinspect.stream.records import Record
from edgeinspect.stream.sinks.sink import Notice, NoticeKind, RunInfo

__all__ = ["FALSE_ALARMS", "STEP", "WINDOW", "Drift", "DriftMonitor", "DriftWindow"]

_log = logging.getLogger(__name__)

WINDOW, STEP = 256, 64  # parts
FALSE_ALARMS = 1e-6  # expected, for each part that is looked at
SMALLEST_GAP = 0.25  # of many parts even a gap without consequence is sure
FEWEST_GOOD = 20  # below, nothing is sure
LOOKING_SHARE = 0.05  # of a core, for looking at pictures
SCORE = "score"
WORDS = {
    SCORE: ("the scores of OK parts differ", "a score", "parts or pictures have changed"),
    Trait.MEAN.name: (
        "the brightness of pictures differs",
        "a mean grey value",
        "look at lamp and shutter",
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
        gap = largest_gap(np.array(self._values), self._reference)
        chance = chance_of_gap(gap.size, WINDOW, len(self._reference))
        is_sure = gap.size >= SMALLEST_GAP and chance < self._level
        return Drift(gap=gap, chance=chance) if is_sure else None


class DriftMonitor:
    """Watches records as a sink of whole records (`sinks.opening.PictureSink`)."""

    batch = 1

    def __init__(self, calibration: Calibration, note: Callable[[Notice], None]) -> None:
        """`note` is told of a drift, such as `Sinks.note`."""
        self._note = note
        self._look_at = 0.0  # on the monotonic clock: the next picture that is looked at
        self._follow: Calibration | None = calibration
        self._windows: dict[str, DriftWindow] = {}

    def use(self, calibration: Calibration) -> None:
        """From the next record on, compare with another calibration; from any thread."""
        self._follow = calibration

    def open(self, about: RunInfo) -> None: ...

    def put(self, record: Record) -> None:
        if self._follow is not None:
            self._windows, self._follow = _windows(self._follow), None
        found = record.inspection
        if found.verdict is Verdict.NOT_INSPECTED:
            return
        if found.verdict is Verdict.OK and found.score is not None:
            self._take(SCORE, found.score)
        self._look(record)

    def flush(self) -> None: ...

    def note(self, notice: Notice) -> None: ...

    def tick(self) -> None: ...

    def close(self) -> None: ...

    def _look(self, record: Record) -> None:
        """At pictures as often as a share of a core allows."""
        start = time.monotonic()
        picture = record.frame.picture
        is_watched = any(trait.name in self._windows for trait in Trait)
        if picture is None or not is_watched or start < self._look_at:
            return
        values = Appearance.of(picture).as_row()
        for trait, value in zip(Trait, values, strict=True):
            self._take(trait.name, value)
        end = time.monotonic()
        self._look_at = end + (end - start) / LOOKING_SHARE

    def _take(self, name: str, value: float) -> None:
        window = self._windows.get(name)
        drift = None if window is None else window.add(value)
        if drift is None:
            return
        del self._windows[name]  # it is told once
        text = _tell(name, drift.gap)
        _log.warning("%s", text)
        values = {
            "trait": NAMES[name],
            "limit": drift.gap.limit,
            "is_lower": drift.gap.is_lower,
            "share": drift.gap.share,
            "reference_share": drift.gap.reference_share,
            "chance": drift.chance,
        }
        self._note(Notice.now(NoticeKind.DRIFT, text, values=values))


def _windows(calibration: Calibration) -> dict[str, DriftWindow]:
    references = dict(_references(calibration))
    level = FALSE_ALARMS * STEP / len(references)
    return {name: DriftWindow(values, level=level) for name, values in references.items()}


def _references(calibration: Calibration) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """What each figure was at calibration; scores of the good parts that are OK."""
    scores = calibration.good_scores
    yield SCORE, scores[scores <= calibration.threshold.value]
    if len(calibration.good_appearance):
        for trait, values in zip(Trait, calibration.good_appearance.T, strict=True):
            yield trait.name, values


def _tell(name: str, gap: Gap) -> str:
    what, one, advice = WORDS[name]
    return (
        f"drift: {what} from calibration: {percent(gap.share)} of the last {WINDOW} have"
        f" {one} {gap.side} {gap.limit:.4g}, of the good parts then {percent(gap.reference_share)};"
        f" {advice}"
    )
