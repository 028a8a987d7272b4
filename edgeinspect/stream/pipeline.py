"""The stages of a stream, each on a thread of its own, with bounded channels between them.

    intake -> prepare -> infer -> judge -> write

Prepare resizes and cuts, infer collects micro-batches and calls the session, judge finds verdict
and regions, write keeps the record. Frames without a picture go the same way, so that each gets
its record in its place. After an engine failure that a restart does not heal, what was delivered
goes through unjudged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from edgeinspect.errors import ConfigError, EdgeInspectError, ImageError
from edgeinspect.runtime.inspection import Inspection, Reason, Timing
from edgeinspect.runtime.inspector import Inspector, Prepared
from edgeinspect.runtime.session import Scores
from edgeinspect.stream.channels import Aborted, Channel, Ended
from edgeinspect.stream.frames import Frame
from edgeinspect.stream.inspectors import Inspectors
from edgeinspect.stream.intake import Intake
from edgeinspect.stream.records import Record, StageLatency, past_deadline

__all__ = ["Pipeline", "PipelineSettings"]

_log = logging.getLogger(__name__)

MOST_PARTS = 256  # in one batch, of which most have no tiles
LONGEST_MS = 3.6e6
DETAILS = {
    Reason.OVERLOAD: "it came faster than parts are judged",
    Reason.FROZEN: "the source delivers the same picture over and over",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
    """How parts are collected, and when a verdict comes too late.

    Attributes:
        max_wait_ms: a part never waits longer for others to fill the batch.
        deadline_ms: from delivery to verdict; None: a verdict is never too late.
    """

    max_wait_ms: float = 10.0
    deadline_ms: float | None = None

    def __post_init__(self) -> None:
        """Raises: ConfigError."""
        if not 0 <= self.max_wait_ms <= LONGEST_MS:
            raise ConfigError(f"max-wait-ms is {self.max_wait_ms:g}: it may be from 0 to an hour")
        if self.deadline_ms is not None and not self.deadline_ms >= 0:
            raise ConfigError(f"deadline-ms is {self.deadline_ms:g}: it must be at least 0")


@dataclass(slots=True, kw_only=True, eq=False)
class _Part:
    """A frame on its way; `inspector` stays the same, whatever is swapped meanwhile."""

    frame: Frame
    inspector: Inspector
    prepared: Prepared | None = None
    scores: Scores | None = None
    inspection: Inspection | None = None
    timing: Timing = field(default_factory=Timing)

    @property
    def n_tiles(self) -> int:
        return 0 if self.prepared is None else self.prepared.n_tiles


class Pipeline:
    """Runs the stages until the intake ends, or until it is given up."""

    def __init__(
        self,
        inspectors: Inspectors,
        intake: Intake,
        write: Callable[[Sequence[Record]], None],
        settings: PipelineSettings,
    ) -> None:
        """`write` is called with the records of a batch, in order, always on the same thread."""
        self._inspectors = inspectors
        self._intake = intake
        self._write = write
        self._settings = settings
        batch = inspectors.current.batch
        self._prepared: Channel[_Part] = Channel(max(2, batch))
        self._inferred: Channel[list[_Part]] = Channel(2)
        self._judged: Channel[list[Record]] = Channel(2)
        self._held: _Part | None = None
        self._errors: list[BaseException] = []
        self._is_done = threading.Event()
        self._busy_since_s: float | None = None
        self.engine_error: EdgeInspectError | None = None
        stages = (self._prepare_all, self._infer_all, self._judge_all, self._write_all)
        self._threads = [
            threading.Thread(
                target=self._stage, args=(stage,), name=stage.__name__.strip("_"), daemon=True
            )
            for stage in stages
        ]

    @property
    def n_waiting(self) -> int:
        """Parts between the intake and the session, for those who watch the line."""
        return len(self._prepared)

    def busy_s(self) -> float:
        """How long the session has had the batch in hand; 0 if it has none."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.perf_counter() - since_s

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether all is recorded, after at most so long."""
        return self._is_done.wait(seconds)

    def join(self) -> None:
        """Wait for the stages to end. Raises: the first error of a stage."""
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def abort(self) -> None:
        """Give up what is under way."""
        self._intake.close()
        for channel in (self._prepared, self._inferred, self._judged):
            channel.abort()

    def _stage(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except Aborted:
            pass
        except BaseException as error:  # raised again by `join`, on the caller's thread
            self._errors.append(error)
            self.abort()
        finally:
            if stage == self._write_all:
                self._is_done.set()

    def _prepare_all(self) -> None:
        while (frame := self._intake.take()) is not None:
            self._prepared.put(self._prepare(frame))
        self._prepared.close()

    def _prepare(self, frame: Frame) -> _Part:
        inspector = self._inspectors.current
        part = _Part(frame=frame, inspector=inspector)
        if frame.reason is not None:
            detail = DETAILS.get(frame.reason, str(frame.error))
            part.inspection = inspector.not_inspected(frame.reason, detail)
        elif frame.picture is None:
            part.inspection = inspector.not_inspected(Reason.UNREADABLE, str(frame.error))
        else:
            start = time.perf_counter()
            try:
                part.prepared = inspector.prepare(frame.picture)
            except ImageError as error:
                hw = frame.picture.shape[:2]
                part.inspection = inspector.not_inspected(Reason.SIZE, str(error), picture_hw=hw)
            part.timing = Timing(prepare_ms=1e3 * (time.perf_counter() - start))
        return part

    def _infer_all(self) -> None:
        for parts in self._batches():
            start_s = self._busy_since_s = time.perf_counter()
            self._infer([part for part in parts if part.prepared is not None])
            self._busy_since_s = None
            infer_ms = 1e3 * (time.perf_counter() - start_s)
            for part in parts:
                part.timing = Timing(prepare_ms=part.timing.prepare_ms, infer_ms=infer_ms)
            self._inferred.put(parts)
        self._inferred.close()

    def _batches(self) -> Iterator[list[_Part]]:
        """Parts that fill the batch of tiles, or that waited long enough for others."""
        while True:
            try:
                first = self._held or self._prepared.take()
            except Ended:
                return
            self._held = None
            yield self._fill(first)

    def _fill(self, first: _Part) -> list[_Part]:
        """A batch that begins with a part; all of one inspector."""
        parts, n_tiles = [first], first.n_tiles
        end_s = time.perf_counter() + self._settings.max_wait_ms / 1e3
        while n_tiles < first.inspector.batch and len(parts) < MOST_PARTS:
            try:
                part = self._prepared.take_until(end_s if n_tiles else 0.0)
            except Ended:
                break
            if part is None:
                break
            if part.inspector is not first.inspector:
                self._held = part
                break
            parts.append(part)
            n_tiles += part.n_tiles
        return parts

    def _infer(self, parts: list[_Part]) -> None:
        """Give the parts their scores; those of a batch that fails are not inspected."""
        if not parts:
            return
        inspector = parts[0].inspector
        self._inspectors.used(inspector)
        try:
            if self.engine_error is not None:
                raise self.engine_error
            prepared = [part.prepared for part in parts if part.prepared is not None]
            for part, scores in zip(parts, inspector.infer(prepared), strict=True):
                part.scores = scores
            self._inspectors.succeeded()
        except EdgeInspectError as error:
            for part in parts:
                part.inspection = inspector.not_inspected(
                    Reason.ENGINE, str(error), picture_hw=_hw(part)
                )
            if self.engine_error is None:
                self._restart(inspector, error)

    def _restart(self, inspector: Inspector, error: EdgeInspectError) -> None:
        """Open the session again, or let all that was delivered through and end the run."""
        self.engine_error = self._inspectors.restart(inspector, error)
        if self.engine_error is not None:
            self._intake.close()

    def _judge_all(self) -> None:
        try:
            while True:
                self._judged.put([self._judge(part) for part in self._inferred.take()])
        except Ended:
            self._judged.close()

    def _judge(self, part: _Part) -> Record:
        found = part.inspection
        if part.scores is not None and part.prepared is not None:
            found = part.inspector.judge(part.scores, part.prepared, part.timing)
        assert found is not None, "a part has neither scores nor a reason"
        total_ms = 1e3 * (time.perf_counter() - part.frame.started_s)
        if self._settings.deadline_ms is not None:
            found = past_deadline(found, total_ms, self._settings.deadline_ms)
        latency = StageLatency(
            decode=part.frame.decode_ms,
            prepare=part.timing.prepare_ms,
            infer=part.timing.infer_ms if part.scores is not None else 0.0,
            post=found.timing.post_ms,
            total=total_ms,
        )
        return Record(
            frame=part.frame,
            inspection=found,
            latency=latency,
            runtime=part.inspector.runtime,
            bundle=part.inspector.bundle.short_id,
        )

    def _write_all(self) -> None:
        try:
            while True:
                self._write(self._judged.take())
        except Ended:
            return


def _hw(part: _Part) -> tuple[int, int]:
    return (0, 0) if part.prepared is None else part.prepared.grid.picture_hw
