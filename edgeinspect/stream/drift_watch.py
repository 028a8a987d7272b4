"""What watches for drift sees of the line: every score, and a fair sample of the pictures.

The line hands each record over and goes on; a thread of its own takes what came, in rounds. In
each round it looks at one picture, drawn at random from all that came since the round before:
whatever the rate and the batch, every part of a batch and every stream has the same chance. How
long it rests between two rounds follows from what a look costs, so that looking never takes more
than a small share of a core.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edgeinspect.constants import Calibration
from edgeinspect.runtime.inspection import Reason
from edgeinspect.stream.drift import DriftMonitor
from edgeinspect.stream.notices import Notice, NoticeKind, tell
from edgeinspect.stream.records import Record

__all__ = ["DriftWatch"]

_log = logging.getLogger(__name__)

LOOKING_SHARE = 0.05  # of a core, for looking at pictures
REST_S = 0.05  # at least, between two looks
MOST_SCORES = 10_000  # that may wait; the newest ones
LEAVE_S = 2.0  # for the last look, at the end of a run


class DriftWatch:
    """Feeds a `DriftMonitor`; use it inside a `with`. `put` never waits, and nothing raises."""

    def __init__(self, calibration: Calibration, note: Callable[[Notice], None]) -> None:
        """`note` is told of drift, and of what cannot be watched, such as `Run.note`."""
        self._monitor = DriftMonitor(calibration, note)
        self._note = note
        self._threshold = calibration.threshold.value
        self._follow: Calibration | None = None
        self._changed = threading.Condition()
        self._scores: deque[float] = deque(maxlen=MOST_SCORES)
        self._picture: NDArray[np.uint8] | None = None
        self._n_pictures = 0  # that came since the last look
        self._rest_s = REST_S
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drift", daemon=True)

    def begin(self) -> None:
        """Say what cannot be watched, now that notices are heard."""
        self._monitor.say_unwatched()

    def use(self, calibration: Calibration) -> None:
        """Compare parts that it judged with another calibration; from any thread."""
        with self._changed:
            self._follow = calibration
            self._threshold = calibration.threshold.value
            self._scores.clear()
            self._picture, self._n_pictures = None, 0
            self._changed.notify()

    def put(self, record: Record) -> None:
        """Hand over a part; one without a score, or of another calibration, is left out."""
        found, picture = record.inspection, record.frame.picture
        if found.score is None or not np.isfinite(found.score):
            return
        with self._changed:
            if found.threshold != self._threshold:
                return
            if found.score <= found.threshold and found.reason is not Reason.BLANK:
                self._scores.append(found.score)
            is_watched = self._follow is not None or self._monitor.watches_pictures
            if picture is not None and is_watched:
                self._n_pictures += 1
                if random.randrange(self._n_pictures) == 0:  # each with the same chance
                    self._picture = picture
            self._changed.notify()

    def counts(self) -> Mapping[str, int]:
        """How many scores and pictures were looked at."""
        return {"score": self._monitor.n_scores, "picture": self._monitor.n_pictures}

    def look(self) -> None:
        """One round: all scores that wait, and one of the pictures that came."""
        with self._changed:
            follow, self._follow = self._follow, None
            scores = list(self._scores)
            self._scores.clear()
            picture, self._picture, self._n_pictures = self._picture, None, 0
        if follow is not None:
            self._monitor.use(follow)
            self._monitor.say_unwatched()
        for score in scores:
            self._monitor.take_score(score)
        start_s = time.thread_time()
        if picture is not None and self._monitor.watches_pictures:
            self._monitor.take_picture(picture)
        self._rest_s = max(REST_S, (time.thread_time() - start_s) / LOOKING_SHARE)

    def _run(self) -> None:
        """Rounds, the rest before each: what comes meanwhile is drawn from as well."""
        try:
            while self._await_part():
                self._is_over.wait(self._rest_s)
                self.look()
        except Exception as error:  # of a third party's picture, say: it must not end the run
            text = f"drift is not watched any more: {type(error).__name__}: {error}"
            _log.debug("drift is not watched any more", exc_info=True)
            tell(self._note, Notice.now(NoticeKind.UNWATCHED, text), level=logging.ERROR)

    def _await_part(self) -> bool:
        """Wait until something came; False at the end, once all was looked at."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_come or self._is_over.is_set())
            return self._has_come

    @property
    def _has_come(self) -> bool:
        return bool(self._scores) or self._picture is not None or self._follow is not None

    def __enter__(self) -> DriftWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._is_over.set()
            self._changed.notify()
        self._thread.join(LEAVE_S)
