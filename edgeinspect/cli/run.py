"""`edgeinspect run`: judge pictures with a bundle, one record a part."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeinspect.cli.main import EXIT_INTERRUPTED
from edgeinspect.cli.options import AsJson, Precision, Threads
from edgeinspect.stream.choices import Fsync, Overload, Save

if TYPE_CHECKING:
    from edgeinspect.bundle import Bundle
    from edgeinspect.stream.frames import Source
    from edgeinspect.stream.opening import InspectorSettings
    from edgeinspect.stream.run import RunSettings, RunSummary

__all__ = ["run"]

EXIT_NOT_ALL_OK = 1


def run(
    bundle: Annotated[Path, typer.Argument(help="The bundle, calibrated.")],
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="A picture, a folder, a quoted glob, a video, - (paths on standard input),"
            " watch:DIR, a camera (0, /dev/video0, csi://0), rtsp://, http:// (MJPEG) or"
            " gst:PIPELINE; several on one session as NAME=SOURCE.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for records and pictures.")],
    save: Annotated[
        Save, typer.Option("--save", help="For which parts overlays and maps are saved.")
    ] = Save.NG,
    keep_gib: Annotated[
        float,
        typer.Option("--keep-gib", min=0, help="Disk for pictures; the oldest go first."),
    ] = 10.0,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            help="auto, or one of those that `edgeinspect doctor` lists.  [default: by the"
            " bundle's plan, else auto]",
        ),
    ] = None,
    precision: Precision = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", min=1, help="Tiles in one call.  [default: by the bundle's plan, else 1]"
        ),
    ] = None,
    max_wait_ms: Annotated[
        float, typer.Option("--max-wait-ms", min=0, help="A part waits for a batch at most.")
    ] = 10.0,
    on_overload: Annotated[
        Overload | None,
        typer.Option(
            "--on-overload",
            help="What happens to frames of a camera that come too fast; files always wait."
            "  [default: latest]",
        ),
    ] = None,
    deadline_ms: Annotated[
        float | None,
        typer.Option("--deadline-ms", min=0, help="A later verdict is NOT-INSPECTED."),
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Take each N-th frame.")] = 1,
    fps: Annotated[
        float | None, typer.Option("--fps", min=0.001, help="Take at most so many a second.")
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option("--roi", metavar="X,Y,W,H", help="Judge this part of each picture, in px."),
    ] = None,
    tile: Annotated[
        bool | None,
        typer.Option(
            "--tile/--no-tile",
            help="Cut pictures into square tiles, or squash them.  [default: as they were"
            " calibrated]",
        ),
    ] = None,
    threads: Threads = None,
    fsync: Annotated[
        Fsync, typer.Option("--fsync", help="When records are brought to the disk.")
    ] = Fsync.NEVER,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in --out, with the first part without record.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier run in --out.")
    ] = False,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            "--sink",
            metavar="URL",
            help="Where records go as well; may be repeated: docs/sinks.md.",
        ),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option("--view", metavar="HOST:PORT", help="Serve a live page, to look at only."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No panel, no warnings of parts.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge pictures with a bundle.

    Writes OUT/records.jsonl, one line a part, and overlays of the NG parts. Exit code: 0 every
    part is OK, 1 at least one is NG or NOT-INSPECTED, 2 the run failed.

    Example: edgeinspect run part.bundle pictures/ --out results
    """
    from edgeinspect.bench.planned import settle
    from edgeinspect.bundle import read_bundle
    from edgeinspect.cli.panel import listeners_may_leave
    from edgeinspect.cli.run_summary import show_summary
    from edgeinspect.config import Precision as OnePrecision
    from edgeinspect.stream.opening import InspectorSettings
    from edgeinspect.stream.outlets import check_outlets
    from edgeinspect.stream.pipeline import PipelineSettings
    from edgeinspect.stream.reading import Selection, read_roi
    from edgeinspect.stream.run import RunSettings
    from edgeinspect.stream.sources import open_sources

    settings = RunSettings(
        save=save,
        keep_gib=keep_gib,
        force=force,
        resume=resume,
        fsync=fsync,
        overload=on_overload,
        selection=Selection(
            every=every, rate_per_s=fps, roi=None if roi is None else read_roi(roi)
        ),
        pipeline=PipelineSettings(max_wait_ms=max_wait_ms, deadline_ms=deadline_ms),
    )
    opened = read_bundle(bundle)
    white_level_16bit = opened.config.preprocess.white_level_16bit
    sources = open_sources(source, white_level_16bit=white_level_16bit)
    _refuse_own_output(sources, out)
    check_outlets(sink or (), view)
    settled = settle(
        opened,
        runtime=runtime,
        precision=None if precision is None else OnePrecision.parse(precision),
        batch=batch,
        threads=threads,
    )
    how = InspectorSettings(
        path=bundle,
        runtime=settled.runtime,
        precision=settled.precision,
        batch=settled.batch,
        threads=settled.threads,
        maps_of_all=save is Save.ALL,
        tile=tile,
        white_level_16bit=white_level_16bit,
    )
    with listeners_may_leave():
        summary = _judge(
            how, opened, sources, out, settings, sinks=sink or (), view=view, is_quiet=quiet
        )
        show_summary(summary, settled, as_json=as_json)
        if summary.is_interrupted and not summary.is_endless:
            typer.echo(f"interrupted: {summary.n_records} parts have their records", err=True)
            raise typer.Exit(EXIT_INTERRUPTED)
    raise typer.Exit(0 if summary.is_all_ok else EXIT_NOT_ALL_OK)


def _judge(
    how: InspectorSettings,
    bundle: Bundle,
    sources: Mapping[str | None, Source],
    out: Path,
    settings: RunSettings,
    *,
    sinks: Sequence[str],
    view: str | None,
    is_quiet: bool,
) -> RunSummary:
    """Until the sources end or somebody ends it, with all that is told meanwhile."""
    from edgeinspect.cli.panel import show_progress
    from edgeinspect.interruption import Interruption, hangup_asks
    from edgeinspect.service import Service
    from edgeinspect.stream.inspectors import Inspectors
    from edgeinspect.stream.opening import open_inspector_for_stream
    from edgeinspect.stream.outlets import Outlets, open_outlets
    from edgeinspect.stream.run import Run, run_stream

    def connect(run: Run) -> contextlib.AbstractContextManager[Outlets]:
        about, calibration = run.about(), run.calibration
        return open_outlets(
            run.folder.path, about, calibration, note=run.note, urls=sinks, view=view
        )

    def on_tick(run: Run) -> None:
        service.tick(busy_s=run.pipeline.busy_s(), status=run.tally.status)
        progress.tick(run)

    with (
        open_inspector_for_stream(how, bundle) as inspector,
        Inspectors(inspector, reopen=how.reopen) as inspectors,
        Interruption() as interruption,
        hangup_asks(inspectors.ask),
        show_progress(is_quiet=is_quiet) as progress,
        Service() as service,
    ):
        return run_stream(
            inspectors,
            sources,
            out,
            settings,
            stop=interruption.event,
            connect=connect,
            on_record=progress.add,
            on_tick=on_tick,
        )


def _refuse_own_output(sources: Mapping[str | None, Source], out: Path) -> None:
    from edgeinspect.errors import OutputError

    for source in sources.values():
        if any(folder.resolve().is_relative_to(out.resolve()) for folder in source.folders):
            raise OutputError(f"the pictures lie in --out {out}", hint="choose another --out")
