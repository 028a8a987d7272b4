"""All that a run tells beside its files: sinks, the live page, and what watches for drift."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from edgeinspect.constants import Calibration
from edgeinspect.errors import MissingPackageError
from edgeinspect.stream.drift_watch import DriftWatch
from edgeinspect.stream.records import Record
from edgeinspect.stream.sinks import Notice, RunInfo, Sinks, open_sink, open_sinks
from edgeinspect.stream.sinks.opening import PictureSink
from edgeinspect.stream.sinks.sink import Sink

if TYPE_CHECKING:
    from edgeinspect.stream.view import View

__all__ = ["Outlets", "check_outlets", "open_outlets"]


class Outlets:
    """Hand records, notices and new calibrations over; nothing here waits, or raises."""

    def __init__(self, drift: DriftWatch) -> None:
        """`drift` gives what it has to say back to `Outlets.note`, by way of the run."""
        self._drift = drift
        self._sinks: Sinks | None = None

    def begin(self) -> None:
        """Notices are heard from now on."""
        self._drift.begin()

    def put(self, record: Record) -> None:
        """Hand over a record that stands in `records.jsonl` already; in order."""
        self._drift.put(record)
        if self._sinks is not None:
            self._sinks.put(record)

    def note(self, notice: Notice) -> None:
        """Hand over a notice; from any thread."""
        if self._sinks is not None:
            self._sinks.note(notice)

    def use(self, calibration: Calibration) -> None:
        """Parts are judged by another calibration from now on."""
        self._drift.use(calibration)

    def feed(self, sinks: Sinks) -> None:
        """Hand everything to these from now on."""
        self._sinks = sinks


def check_outlets(urls: Sequence[str], view: str | None) -> None:
    """What `open_outlets` would refuse, before there is a folder, or an earlier run is gone.

    Raises: ConfigError, MissingPackageError.
    """
    for url in urls:
        open_sink(url)
    if view is not None:
        _view_module().check_view(view)


@contextlib.contextmanager
def open_outlets(
    folder: Path,
    about: RunInfo,
    calibration: Calibration,
    *,
    note: Callable[[Notice], None],
    urls: Sequence[str] = (),
    view: str | None = None,
) -> Iterator[Outlets]:
    """Open the outlets of a run in `folder`, which exists.

    Args:
        note: is told of drift, such as `Run.note`, which hands it to these outlets as well.
        urls: of sinks; view: HOST:PORT of the live page, None for none.
    Raises: ConfigError, MissingPackageError, OutputError.
    """
    drift = DriftWatch(calibration, note)
    outlets = Outlets(drift)
    about = dataclasses.replace(about, n_watched=drift.counts)
    others: list[tuple[str, Sink]] = []
    pictures: list[tuple[str, PictureSink]] = []
    with contextlib.ExitStack() as stack:
        if view is not None:
            page = stack.enter_context(_serve(view, folder))
            others.append(("view", page.state))
            pictures.append(("view", page.pictures))
        sinks = open_sinks(urls, folder=folder, about=about, others=others, pictures=pictures)
        outlets.feed(stack.enter_context(sinks))
        stack.enter_context(drift)
        yield outlets


def _serve(address: str, folder: Path) -> contextlib.AbstractContextManager[View]:
    served: contextlib.AbstractContextManager[View] = _view_module().open_view(address, folder)
    return served


def _view_module() -> ModuleType:
    try:
        return importlib.import_module("edgeinspect.stream.view")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise MissingPackageError(package, needed_for="--view", extra="stream") from error
