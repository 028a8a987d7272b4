"""A run: sources through the pipeline into records, sinks, pictures and a summary.

The calling thread only watches: it notices a stop, a changed bundle, and that all is recorded.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import edgeinspect
from edgeinspect.constants import Calibration
from edgeinspect.errors import ConfigError, OutputError
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.stream.choices import Fsync, Overload, Save
from edgeinspect.stream.frames import Recorded, Source
from edgeinspect.stream.inspectors import Inspectors
from edgeinspect.stream.intake import Intake, Lane
from edgeinspect.stream.judge import Judge
from edgeinspect.stream.notices import OF_PARTS, Notice, NoticeKind, tell
from edgeinspect.stream.pictures import KEEP_GIB, PictureStore
from edgeinspect.stream.pipeline import Pipeline, PipelineSettings
from edgeinspect.stream.reading import Reader, Selection
from edgeinspect.stream.record_file import HOLD_S, RecordWriter
from edgeinspect.stream.records import Record, prepare_record_folder
from edgeinspect.stream.resuming import last_bundle, read_back, read_last
from edgeinspect.stream.sinks.sink import RunInfo
from edgeinspect.stream.summary import RunSummary, Tally
from edgeinspect.writing import alone_in

__all__ = ["Outlet", "Run", "RunSettings", "RunSummary", "run_stream"]

TICK_S = 0.05  # how soon a stop or a changed bundle is noticed
LAST_RECORDS_S = 5.0  # at the end, for records that the disk did not take
LEAVE_S = 2.0  # how long sources may take to notice that they should stop


class Outlet(Protocol):
    """Where records and notices go besides the files (`outlets`); never slow, never raises."""

    def begin(self) -> None:
        """Called once, before the first record: what it has to say is heard."""
        ...

    def put(self, record: Record) -> None: ...

    def note(self, notice: Notice) -> None: ...

    def use(self, calibration: Calibration) -> None:
        """Parts are judged by another calibration from now on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a run goes; the defaults suit a folder of pictures.

    Attributes:
        keep_gib: how much of the disk pictures may take; the oldest go first.
        force: replace an earlier run in the folder; resume: go on with it.
        overload: of live sources; files always wait. None: they keep the newest frame.
        hold_s: how long records may wait in memory while the disk takes none.
    """

    save: Save = Save.NG
    keep_gib: float = KEEP_GIB
    force: bool = False
    resume: bool = False
    fsync: Fsync = Fsync.NEVER
    overload: Overload | None = None
    hold_s: float = HOLD_S
    selection: Selection = field(default_factory=Selection)
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)

    def __post_init__(self) -> None:
        """Raises: ConfigError."""
        if not self.keep_gib >= 0:
            raise ConfigError(f"keep-gib is {self.keep_gib:g}: it must be at least 0")


class Run:
    """One run under way: what its threads share.

    Attributes:
        folder: where it writes; tally: what was recorded so far.
        n_expected: frames that the sources will deliver; None if that is not known.
        last_notice: the last that was told.
    """

    def __init__(
        self,
        inspectors: Inspectors,
        sources: Mapping[str | None, Source],
        out: Path,
        settings: RunSettings,
        *,
        stop: threading.Event,
        on_record: Callable[[Record], None] | None = None,
    ) -> None:
        """Raises: OutputError."""
        self.tally = Tally()
        self.last_notice: Notice | None = None
        self.folder = prepare_record_folder(
            out,
            force=settings.force,
            resume=settings.resume,
            saves_pictures=settings.save is not Save.NONE,
        )
        self._pictures = PictureStore(self.folder, keep_gib=settings.keep_gib)
        self._inspectors = inspectors
        self._bundle = inspectors.current.bundle  # that the outlets know of
        self._settings = settings
        self._stop = stop
        self._names = tuple(sources)
        self._is_endless = any(source.is_live for source in sources.values())
        self._outlet: Outlet | None = None
        self._on_record = on_record
        self._first_seq = self._read_back(sources)
        self._bundle_before = last_bundle(self.folder.records) if settings.resume else None
        lanes = [self._lane(name, source) for name, source in sources.items()]
        depth = max(4, 2 * inspectors.current.batch)
        self.intake = Intake(lanes, depth=depth, stop=stop)
        self._readers = [
            Reader(source, lane, self.intake, settings.selection, note=self.note)
            for lane, source in zip(lanes, sources.values(), strict=True)
        ]
        self.pipeline = Pipeline(inspectors, self.intake, self._write, settings.pipeline)
        self.n_expected = _n_expected(sources.values(), settings.selection)

    @property
    def calibration(self) -> Calibration:
        """What parts are judged by at the moment."""
        return self._inspectors.current.bundle.require_calibration()

    def about(self) -> RunInfo:
        """What sinks may say of it."""
        inspector = self._inspectors.current
        return RunInfo(
            judge=Judge.of(inspector),
            threshold=inspector.threshold,
            tool_version=edgeinspect.__version__,
            sources=tuple(name for name in self._names if name is not None),
            queue_depths=lambda: {
                "intake": self.intake.n_waiting,
                "session": self.pipeline.n_waiting,
            },
        )

    def note(self, notice: Notice) -> None:
        """Tell the outlet and, of parts, the record of the next one; from any thread."""
        self.last_notice = notice
        if notice.kind in OF_PARTS:
            self.intake.note(notice)
        if self._outlet is not None:
            self._outlet.note(notice)

    def work(
        self,
        outlet: Outlet | None = None,
        on_tick: Callable[[Run], None] = lambda run: None,
    ) -> RunSummary:
        """Until the sources end or it is stopped.

        Raises: what a source, stage or session raise; OutputError that names the frames without
            a record, when the disk took none for too long.
        """
        self._outlet = outlet
        self._inspectors.note = self.note
        if outlet is not None:
            outlet.begin()
        self._say_other_bundle()
        fsync, hold_s = self._settings.fsync, self._settings.hold_s
        with RecordWriter(
            self.folder.records, fsync=fsync, hold_s=hold_s, note=self.note
        ) as self._writer:
            try:
                self._flow(on_tick)
            except OutputError as error:
                raise self._with_unrecorded(error) from error
        self._raise_errors()
        n_in, n_out = self.intake.n_delivered, self._writer.n_written
        assert n_in == n_out, f"{n_in} frames were delivered, {n_out} records written"
        return self._summary()

    def _say_other_bundle(self) -> None:
        """When a run goes on with another bundle than the one that judged its last part."""
        inspector, before = self._inspectors.current, self._bundle_before
        if before is None or before == inspector.bundle.short_id:
            return
        text = (
            f"parts are judged by the bundle {inspector.bundle.short_id}, those before by {before}"
        )
        values = Judge.of(inspector).to_plain()
        tell(self.note, Notice.now(NoticeKind.BUNDLE, text, values=values))

    def _flow(self, on_tick: Callable[[Run], None]) -> None:
        """Until all that was delivered has its record. Raises: as `work`."""
        self.pipeline.start()
        for reader in self._readers:
            reader.start()
        try:
            while not self.pipeline.wait(TICK_S):
                self._watch()
                on_tick(self)
        finally:
            self._end()
        self.pipeline.join()
        self._writer.finish(within_s=min(LAST_RECORDS_S, self._settings.hold_s))

    def _with_unrecorded(self, error: OutputError) -> OutputError:
        """The error that ended the run, with the frames that it leaves without a record."""
        without = []
        for lane in self.intake.lanes:
            first = self._writer.next_seq.get(lane.name, self._first_seq.get(lane.name, 0))
            if first < lane.next_seq:
                of = "" if lane.name is None else f" of {lane.name}"
                without.append(f"{first} to {lane.next_seq - 1}{of}")
        n_without = self.intake.n_delivered - self._writer.n_written
        what = f"{error.what}; {n_without} delivered frames have no record: {', '.join(without)}"
        return OutputError(what, hint=error.hint) if without else error

    def _watch(self) -> None:
        self._writer.retry()
        if self._stop.is_set() or any(reader.error for reader in self._readers):
            self.intake.close()
        self._inspectors.check()
        before, self._bundle = self._bundle, self._inspectors.current.bundle
        if self._outlet is not None and self._bundle is not before:
            self._outlet.use(self._bundle.require_calibration())

    def _end(self) -> None:
        """Whatever happened, no thread goes on; a source that hangs is left behind."""
        if not self.pipeline.wait(0):
            self.pipeline.abort()
        self.intake.close()
        for reader in self._readers:
            reader.stop()
        end_s = time.monotonic() + LEAVE_S
        for reader in self._readers:
            reader.join(within_s=max(0.0, end_s - time.monotonic()))

    def _raise_errors(self) -> None:
        errors = [self.pipeline.engine_error, *(reader.error for reader in self._readers)]
        for error in errors:
            if error is not None:
                raise error

    def _read_back(self, sources: Mapping[str | None, Source]) -> dict[str | None, int]:
        """Have the sources leave out what has records; the number each stream goes on with."""
        if not self._settings.resume:
            return {}
        path = self.folder.records
        files = [name for name, source in sources.items() if source.is_lossless]
        recorded = (
            read_back(path, with_sources=files) if files else read_last(path, streams=sources)
        )
        for name, source in sources.items():
            of_it = recorded.get(name, Recorded())
            source.skip(dataclasses.replace(of_it, every=self._settings.selection.every))
        return {name: of_it.next_seq for name, of_it in recorded.items()}

    def _lane(self, name: str | None, source: Source) -> Lane:
        overload = self._settings.overload or Overload.LATEST
        return Lane(
            name=name,
            is_live=source.is_live,
            overload=Overload.BLOCK if source.is_lossless else overload,
            next_seq=self._first_seq.get(name, 0),
        )

    def _write(self, records: Sequence[Record]) -> None:
        for record in records:
            saved = self._save(record)
            self._writer.write(saved)
            self.tally.add(saved)
            if self._outlet is not None:
                self._outlet.put(saved)
            if self._on_record is not None:
                self._on_record(saved)
        self._writer.end_batch()

    def _save(self, record: Record) -> Record:
        """Save the pictures of a record, if it is one of those; gives it with the map's path."""
        save, verdict = self._settings.save, record.inspection.verdict
        is_wanted = save is Save.ALL or (save is Save.NG and verdict is Verdict.NG)
        return self._pictures.save(record) if is_wanted else record

    def _summary(self) -> RunSummary:
        inspector = self._inspectors.current
        return RunSummary(
            out=self.folder.path,
            bundle=str(inspector.bundle.path),
            runtime=inspector.runtime,
            threshold=inspector.threshold,
            n_frames=self.intake.n_delivered,
            n_records=self._writer.n_written,
            n_before=sum(self._first_seq.values()),
            n_by_verdict=self.tally.verdicts,
            n_by_reason=self.tally.reasons,
            n_overlays=self._pictures.n_overlays,
            latency_ms=self.tally.quantiles_ms(),
            duration_s=time.perf_counter() - self.tally.started_s,
            is_interrupted=self._stop.is_set(),
            is_endless=self._is_endless,
        )


def _n_expected(sources: Iterable[Source], selection: Selection) -> int | None:
    n_frames = [source.n_frames for source in sources]
    if any(n is None for n in n_frames):
        return None
    return sum(-(-n // selection.every) for n in n_frames if n is not None)


def run_stream(
    inspector: Inspector | Inspectors,
    sources: Source | Mapping[str | None, Source],
    out: Path,
    settings: RunSettings = RunSettings(),
    *,
    stop: threading.Event | None = None,
    connect: Callable[[Run], AbstractContextManager[Outlet | None]] = lambda run: nullcontext(),
    on_record: Callable[[Record], None] | None = None,
    on_tick: Callable[[Run], None] = lambda run: None,
) -> RunSummary:
    """Judge every frame of the sources and write the records into the folder `out`.

    Args:
        inspector: with `Inspectors`, its session is opened again when it fails and follows a
            bundle that changes.
        sources: one, or several by name.
        stop: once it is set nothing more is delivered, and the run ends when all that was has
            its record.
        connect: opens what records and notices go to, once the folder is there.
        on_record: called after each record is written, such as for a panel, on another thread.
        on_tick: called many times a second on this thread.
    Raises: OutputError, and what the session or a source raise.
    """
    inspectors = inspector if isinstance(inspector, Inspectors) else Inspectors(inspector)
    named: Mapping[str | None, Source]
    named = sources if isinstance(sources, Mapping) else {None: sources}
    with alone_in(out, user="run"):
        run = Run(
            inspectors,
            named,
            out,
            settings,
            stop=stop or threading.Event(),
            on_record=on_record,
        )
        with connect(run) as outlet:
            return run.work(outlet, on_tick)
