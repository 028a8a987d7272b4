"""From addresses to running sinks, and what the line hands its records to."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import hashlib
import importlib
import importlib.metadata
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, cast

from edgeinspect.errors import ConfigError, MissingPackageError
from edgeinspect.stream.patience import Patience
from edgeinspect.stream.records import NOTICES, PLACES, RECORDS, Record
from edgeinspect.stream.sinks.address import Address, read_address
from edgeinspect.stream.sinks.journal import Journal
from edgeinspect.stream.sinks.notices import NoticeFile
from edgeinspect.stream.sinks.runners import Follower, QueueRunner, Runner
from edgeinspect.stream.sinks.sink import Notice, NoticeKind, RunInfo, Sink, SinkState
from edgeinspect.suggestions import suggest

__all__ = ["PictureSink", "Sinks", "open_sink", "open_sinks"]

_log = logging.getLogger(__name__)

ENTRY_POINTS = "edgeinspect.sinks"
DRAIN_S = 5.0  # at the end of a run, for what the sinks have not delivered
PATIENCE = Patience(most_s=5.0)
PICTURE_DEPTH = 2  # a record with its picture may be tens of MB
OURS = MappingProxyType(
    {
        "mqtt": "mqtt:MqttSink",
        "mqtts": "mqtt:MqttSink",
        "http": "webhook:WebhookSink",
        "https": "webhook:WebhookSink",
        "prometheus": "prometheus:PrometheusSink",
        "modbus": "modbus:ModbusSink",
        "opcua": "opcua:OpcUaSink",
    }
)


class PictureSink(Protocol):
    """What is given whole records, with their pictures: the newest, when it is slow."""

    batch: int = 1

    def open(self, about: RunInfo) -> None: ...

    def put(self, record: Record) -> None: ...

    def flush(self) -> None: ...

    def note(self, notice: Notice) -> None: ...

    def tick(self) -> None: ...

    def close(self) -> None: ...


def open_sink(url: str) -> Sink:
    """The sink of an address; nothing is connected yet.

    Raises: ConfigError if no sink has its scheme, or it does not understand it;
        MissingPackageError.
    """
    return _make(read_address(url))


def _make(address: Address) -> Sink:
    try:
        return _maker(address.scheme)(address)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        needed_for = f"the sink {address.name}"
        raise MissingPackageError(package, needed_for=needed_for, extra="stream") from error


def _maker(scheme: str) -> Callable[[Address], Sink]:
    """The class or function that makes sinks of a scheme."""
    theirs = importlib.metadata.entry_points(group=ENTRY_POINTS)
    if scheme in OURS:
        module, _, name = OURS[scheme].partition(":")
        maker = getattr(importlib.import_module(f"edgeinspect.stream.sinks.{module}"), name)
    elif scheme in theirs.names:
        maker = theirs[scheme].load()
    else:
        hint = suggest(scheme, [*OURS, *theirs.names])
        raise ConfigError(f"no sink is called {scheme}://", hint=hint)
    return cast("Callable[[Address], Sink]", maker)


class _Feed(enum.Enum):
    """What a sink is handed beside notices."""

    PLAIN = enum.auto()
    WHOLE = enum.auto()
    NOTHING = enum.auto()


class Sinks:
    """All sinks of a run: hand records and notices over, in order, from one thread.

    Nothing here waits for a sink, or raises what a sink raises.
    """

    def __init__(self) -> None:
        self._runners: dict[_Feed, list[Runner]] = {feed: [] for feed in _Feed}

    def add(self, runner: Runner, feed: _Feed) -> None:
        self._runners[feed].append(runner)

    def put(self, record: Record) -> None:
        """Hand over a record that stands in `records.jsonl` already."""
        if self._runners[_Feed.PLAIN]:
            plain = record.to_plain()
            for runner in self._runners[_Feed.PLAIN]:
                runner.put(plain)
        for runner in self._runners[_Feed.WHOLE]:
            runner.put(record)

    def note(self, notice: Notice) -> None:
        """Hand over a notice; may be called from any thread."""
        for runner in self._all():
            runner.note(notice)

    def note_of(self, sink: Runner, notice: Notice) -> None:
        """Hand over what one sink has to say to all others."""
        for runner in self._all():
            if runner is not sink:
                runner.note(notice)

    def states(self) -> list[SinkState]:
        return [
            SinkState(
                name=runner.name,
                is_away=runner.is_away,
                n_waiting=runner.n_waiting,
                n_dropped=runner.n_dropped,
            )
            for runner in self._runners[_Feed.PLAIN]
        ]

    def start(self) -> None:
        for runner in self._all():
            runner.start()

    def close(self, *, within_s: float) -> None:
        """Let the sinks deliver what waits, all at once, and say what they could not.

        The file of notices ends last: it is told what happens to the others meanwhile.
        """
        last = self._runners[_Feed.NOTHING]
        _end([runner for runner in self._all() if runner not in last], within_s)
        _end(last, within_s)
        for state in self.states():
            if state.n_waiting:
                _log.warning("%d records have not reached %s", state.n_waiting, state.name)
            if state.n_dropped:
                _log.warning("%d records never reached %s", state.n_dropped, state.name)

    def _all(self) -> list[Runner]:
        return [runner for runners in self._runners.values() for runner in runners]


def _end(runners: Sequence[Runner], within_s: float) -> None:
    for runner in runners:
        runner.stop(within_s=within_s)
    for runner in runners:
        if not runner.join():
            _log.warning("the sink %s does not come back; it is left behind", runner.name)


@contextlib.contextmanager
def open_sinks(
    urls: Sequence[str],
    *,
    folder: Path,
    about: RunInfo,
    others: Sequence[tuple[str, Sink]] = (),
    pictures: Sequence[tuple[str, PictureSink]] = (),
    patience: Patience = PATIENCE,
    drain_s: float = DRAIN_S,
) -> Iterator[Sinks]:
    """Start the sinks of a run; at the end they have `drain_s` to deliver what waits.

    Notices are kept in `folder/notices.jsonl` as well.

    Args:
        folder: of the run, with its `records.jsonl`.
        others: (name, sink) of those that have no address, such as the live page's.
        pictures: (name, sink) of those that are given whole records.
    Raises: ConfigError, MissingPackageError if an address cannot be understood; OutputError.
    """
    sinks = Sinks()
    about = dataclasses.replace(about, sink_states=sinks.states)
    for address in map(read_address, urls):
        sinks.add(_runner(address, folder, about, patience, sinks.note_of), _Feed.PLAIN)
    for name, other in others:
        sinks.add(QueueRunner(name, other, about, patience=patience), _Feed.PLAIN)
    for name, whole in pictures:
        sampler = QueueRunner(
            name, whole, about, patience=patience, depth=PICTURE_DEPTH, is_sample=True
        )
        sinks.add(sampler, _Feed.WHOLE)
    notices = NoticeFile(folder / NOTICES)
    sinks.add(QueueRunner(NOTICES, notices, about, patience=patience), _Feed.NOTHING)
    sinks.start()
    sinks.note(Notice.now(NoticeKind.STARTED, "the run starts", values=about.to_plain()))
    try:
        yield sinks
    finally:
        n_watched = {f"n_{name}s_watched": n for name, n in about.n_watched().items()}
        sinks.note(Notice.now(NoticeKind.ENDED, "the run ends", values=n_watched))
        sinks.close(within_s=drain_s)


def _runner(
    address: Address,
    folder: Path,
    about: RunInfo,
    patience: Patience,
    on_change: Callable[[Runner, Notice], None],
) -> Runner:
    sink, name = _make(address), address.name
    if not sink.is_durable:
        return QueueRunner(name, sink, about, patience=patience, on_change=on_change)
    journal = Journal(folder / RECORDS, folder / PLACES / _place_name(address))
    return Follower(name, sink, about, journal=journal, patience=patience, on_change=on_change)


def _place_name(address: Address) -> str:
    """A file name that stays the same for the same address, and tells no secret."""
    digest = hashlib.sha256(address.url.encode()).hexdigest()[:8]
    return f"{address.scheme}-{address.host}-{digest}.json"
