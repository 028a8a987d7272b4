"""A thread for each sink: the line hands a record over and goes on, whatever the sink does.

    QueueRunner   a bounded queue in memory; when it is full the oldest record is dropped, counted
    Follower      reads `records.jsonl` behind the line; its place in it is kept on the disk

Both try again, after a while that grows, when a sink raises `SinkError`; any other error ends the
sink and not the run. A sink whose call never returns loses its thread, and nothing else.
"""

from __future__ import annotations

import abc
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from edgeinspect.errors import SinkError
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.sinks.journal import Journal, Line
from edgeinspect.stream.sinks.sink import Notice, NoticeKind, RunInfo

__all__ = ["Follower", "QueueRunner", "Runner"]

_log = logging.getLogger(__name__)

QUEUE_DEPTH = 1024  # records in JSON types: about 1 MB
N_NOTICES = 256
TICK_S = 1.0
TORN_S = 0.05  # until the rest of a line that is being written is looked for
LAST_TRIES_S = 0.2  # between tries once the run has ended


class Runner(abc.ABC):
    """What both runners share: the thread, patience, notices, and an end that is awaited.

    Attributes:
        n_dropped: records that never reached the sink.
        is_away: the sink's last call failed.
        has_ended: it raised what is no `SinkError`, and gets no more.
    """

    def __init__(
        self,
        name: str,
        sink: Any,  # a Sink, or one that is given whole records
        about: RunInfo,
        *,
        patience: Patience,
        on_change: Callable[[Runner, Notice], None] | None = None,
    ) -> None:
        self.name = name
        self.n_dropped = 0
        self.is_away = False
        self.has_ended = False
        self._sink = sink
        self._about = about
        self._patience = patience
        self._on_change = on_change
        self._notices: deque[Notice] = deque(maxlen=N_NOTICES)
        self._changed = threading.Condition()
        self._give_up_at: float | None = None  # on the monotonic clock, once it is closed
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    @abc.abstractmethod
    def n_waiting(self) -> int:
        """Records that the sink has not taken yet."""

    @abc.abstractmethod
    def put(self, record: Any) -> None:
        """Hand a record over; never waits."""

    def note(self, notice: Notice) -> None:
        """Hand a notice over; never waits."""
        with self._changed:
            self._notices.append(notice)
            self._changed.notify()

    def stop(self, *, within_s: float) -> None:
        """Tell the sink to deliver what waits and end; does not wait for it."""
        with self._changed:
            self._give_up_at = time.monotonic() + within_s
            self._changed.notify()

    def join(self) -> bool:
        """Wait for the end that `stop` asked for; False if the sink does not come back."""
        assert self._give_up_at is not None, "a runner is stopped before it is awaited"
        self._thread.join(max(0.0, self._give_up_at + TICK_S - time.monotonic()))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with contextlib.closing(self._sink):
                if self._persist(lambda: self._sink.open(self._about)):
                    self._deliver()
        except Exception as error:  # of any sink, also a third party's: it must not end the run
            self.has_ended = self.is_away = True
            text = f"the sink {self.name} has ended: {type(error).__name__}: {error}"
            _log.error("%s", text)
            _log.debug("the sink %s has ended", self.name, exc_info=True)
            self._tell(text)

    def _deliver(self) -> None:
        while self._wait() and self._step() and not self._is_over:
            self._deliver_notices()
        self._deliver_notices()

    def _deliver_notices(self) -> None:
        while self._notices:
            notice = self._notices.popleft()
            self._persist(lambda: self._sink.note(notice))  # noqa: B023 (called at once)

    @abc.abstractmethod
    def _has_records(self) -> bool: ...

    @abc.abstractmethod
    def _step(self) -> bool:
        """Deliver some of the records that wait; False when it is no use to go on."""

    def _wait(self) -> bool:
        """Wait until there is something to deliver, with a tick in between; False at the end."""
        while not self._has_records() and not self._notices:
            if self._is_stopped:
                return False
            with self._changed:
                is_woken = self._changed.wait_for(
                    lambda: self._has_records() or self._notices or self._is_stopped,
                    timeout=TICK_S,
                )
            if not is_woken and not self._persist(self._sink.tick):
                return False
        return True

    @property
    def _is_stopped(self) -> bool:
        return self._give_up_at is not None

    @property
    def _is_over(self) -> bool:
        """The run has ended and there is no time left."""
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at

    def _persist(self, action: Callable[[], None]) -> bool:
        """Call until it succeeds; False if the run ended before."""
        since = time.monotonic()
        n_tries = 0
        while True:
            try:
                action()
            except SinkError as error:
                self._say_away(error)
            else:
                self._say_back(time.monotonic() - since)
                return True
            if not self._rest(self._patience.wait_s(n_tries)):
                return False
            n_tries += 1

    def _rest(self, seconds: float) -> bool:
        """Wait before another try; False when the run has ended and its last moments are over."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_stopped, timeout=seconds):
                return True
            if self._is_over:
                return False
            self._changed.wait(min(seconds, LAST_TRIES_S))
            return True

    def _say_away(self, error: SinkError) -> None:
        if self.is_away:
            return
        self.is_away = True
        _log.warning("the sink %s is away: %s; it is tried again", self.name, error)
        self._tell(f"the sink {self.name} is away: {error.what}")

    def _say_back(self, seconds: float) -> None:
        if not self.is_away:
            return
        self.is_away = False
        text = f"the sink {self.name} is back after {seconds:.1f} s"
        _log.info("%s", text)
        self._tell(text, seconds)

    def _tell(self, text: str, seconds: float | None = None) -> None:
        if self._on_change is not None:
            self._on_change(self, Notice.now(NoticeKind.SINK, text, seconds=seconds))


class QueueRunner(Runner):
    """Feeds a sink from a queue in memory."""

    def __init__(
        self, *args: Any, depth: int = QUEUE_DEPTH, is_sample: bool = False, **keys: Any
    ) -> None:
        """With `is_sample` it is no trouble that some records are dropped."""
        super().__init__(*args, **keys)
        self._queue: deque[Any] = deque()
        self._depth = depth
        self._is_sample = is_sample

    @property
    def n_waiting(self) -> int:
        return len(self._queue)

    def put(self, record: Any) -> None:
        with self._changed:
            if len(self._queue) >= self._depth or self.has_ended:
                self._drop_oldest()
            if not self.has_ended:
                self._queue.append(record)
                self._changed.notify()

    def _drop_oldest(self) -> None:
        self.n_dropped += 1
        if self._queue:
            self._queue.popleft()
        if self.n_dropped == 1 and not self._is_sample:
            _log.warning("the sink %s is too slow: it does not get every record", self.name)

    def _has_records(self) -> bool:
        return bool(self._queue)

    def _step(self) -> bool:
        if self._persist(self._put_some):
            return True
        self.n_dropped += len(self._queue)
        return False

    def _put_some(self) -> None:
        """Put some of what waits now and flush; asked again, it takes what came meanwhile too."""
        for _ in range(self._sink.batch):
            with self._changed:
                if not self._queue:
                    break
                record = self._queue.popleft()
            try:
                self._sink.put(record)
            except SinkError:
                with self._changed:
                    self._queue.appendleft(record)
                raise
        self._sink.flush()


class Follower(Runner):
    """Feeds a sink from `records.jsonl`; a record is delivered once a flush after it succeeded."""

    def __init__(self, *args: Any, journal: Journal, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self._journal = journal

    @property
    def n_waiting(self) -> int:
        return self._journal.n_appended - self._journal.n_delivered

    def put(self, record: Any) -> None:
        """The record is in the file: go and look."""
        with self._changed:
            self._journal.n_appended += 1
            self._changed.notify()

    def _has_records(self) -> bool:
        return self.n_waiting > 0

    def _step(self) -> bool:
        lines = self._journal.read(self._sink.batch)
        if not lines:
            return self._await_rest_of_line()
        if not self._persist(lambda: self._send(lines)):
            return False
        self._journal.commit(lines)
        return True

    def _send(self, lines: list[Line]) -> None:
        for line in lines:
            if line.record is not None:
                self._sink.put(line.record)
        self._sink.flush()

    def _await_rest_of_line(self) -> bool:
        with self._changed:
            self._changed.wait(TORN_S)
        return not self._is_stopped or bool(self._notices)
