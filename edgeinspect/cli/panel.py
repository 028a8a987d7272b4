"""What is seen of a run while it goes on: a panel on a terminal, a line of warning elsewhere."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from edgeinspect.numbers import three_digits
from edgeinspect.runtime.inspection import Reason, Verdict
from edgeinspect.stream.plain import printable

if TYPE_CHECKING:
    from rich.live import Live
    from rich.panel import Panel

    from edgeinspect.stream.records import Record
    from edgeinspect.stream.run import Run

__all__ = ["Watcher", "listeners_may_leave", "show_progress"]

REFRESH_S = 0.25
RATE_S = 5.0  # parts a second over this time
HAS_LEFT = frozenset({errno.EPIPE, errno.EIO})  # a pipe's reader has ended, a terminal is closed
WIDTH = 100  # columns at most: a panel that changes its width flickers
# Said of every part: what is wrong with a file. Of the others only the first is told.
TOLD_EACH = frozenset({Reason.UNREADABLE, Reason.SIZE, Reason.NON_FINITE})


class Watcher:
    """Silent. `add` is called with each record, on another thread than `tick`."""

    def add(self, record: Record) -> None: ...

    def tick(self, run: Run) -> None: ...


class _Lines(Watcher):
    """Says what was not inspected, and why; of what comes in floods only the first."""

    def __init__(self) -> None:
        self._told: set[Reason] = set()

    def add(self, record: Record) -> None:
        detail, source = record.inspection.detail, record.frame.source
        reason = record.inspection.reason
        if detail is None or reason is None or reason in self._told:
            return
        more = ""
        if reason not in TOLD_EACH:
            self._told.add(reason)
            more = " (others of this kind are only counted)"
        where = detail if source in detail else f"{source}: {detail}"
        self._say(f"warning: not inspected: {' '.join(printable(where).split())}{more}")

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr)


class _LivePanel(_Lines):
    """Rate, verdicts, latency and the last NG part, four times a second."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self._last_ng: Record | None = None
        self._next_s = 0.0
        self._counts = deque([(time.perf_counter(), 0)])  # (time, parts) of the last seconds

    def add(self, record: Record) -> None:
        super().add(record)
        if record.inspection.verdict is Verdict.NG:
            self._last_ng = record

    def tick(self, run: Run) -> None:
        now_s = time.perf_counter()
        if now_s < self._next_s:
            return
        self._next_s = now_s + REFRESH_S
        rate_per_s, width = self._rate_per_s(now_s, run), self._live.console.width
        self._live.update(_panel(run, rate_per_s, self._last_ng, width), refresh=True)

    def _rate_per_s(self, now_s: float, run: Run) -> float:
        self._counts.append((now_s, run.tally.n_records))
        while now_s - self._counts[0][0] > RATE_S and len(self._counts) > 2:
            self._counts.popleft()
        (then_s, then_n), (_, n) = self._counts[0], self._counts[-1]
        return (n - then_n) / max(1e-6, now_s - then_s)

    def _say(self, line: str) -> None:
        self._live.console.print(line, markup=False, highlight=False)


def _panel(run: Run, rate_per_s: float, last_ng: Record | None, console_width: int) -> Panel:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from edgeinspect.cli.run_summary import VERDICT_STYLES, reason_words

    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    tally = run.tally
    of_all = "" if run.n_expected is None else f" of {run.n_expected}"
    rows.add_row("parts", f"{tally.n_records}{of_all}, {rate_per_s:.1f} a second")
    for verdict, n in tally.verdicts.items():
        why = reason_words(tally.reasons) if verdict is Verdict.NOT_INSPECTED else ""
        style = VERDICT_STYLES[verdict] if n else "dim"
        rows.add_row(verdict.value, f"{n}  {why}".rstrip(), style=style)
    quantiles = tally.quantiles_ms().items()
    rows.add_row("latency", ", ".join(f"{name} {ms:.1f} ms" for name, ms in quantiles))
    rows.add_row("waiting", str(run.intake.n_waiting + run.pipeline.n_waiting))
    if last_ng is not None:
        rows.add_row("last NG", Text(_one_line(last_ng)), style="red")
    notice = run.last_notice
    if notice is not None:
        rows.add_row("notice", Text(f"{_clock(notice.time_s)}  {notice.text}"), style="yellow")
    width = min(WIDTH, console_width)
    return Panel(rows, title="edgeinspect run", title_align="left", width=width)


def _one_line(record: Record) -> str:
    """When a part came, how far above the threshold it is, and which it is."""
    frame, found = record.frame, record.inspection
    assert found.score is not None, "an NG part has a score"
    stream = "" if frame.stream is None else f"{frame.stream} "
    name = Path(printable(frame.source)).name
    score = f"score {three_digits(found.score)}, limit {three_digits(found.threshold)}"
    return f"{_clock(frame.time_s)}  {score}  {stream}{name}"


def _clock(time_s: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time_s))


@contextlib.contextmanager
def show_progress(*, is_quiet: bool) -> Iterator[Watcher]:
    """What to tell of each record and each tick."""
    if is_quiet:
        yield Watcher()
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
            yield _LivePanel(live)


@contextlib.contextmanager
def listeners_may_leave() -> Iterator[None]:
    """While it is entered, that nobody hears what is said ends nothing, nor is it trouble.

    A terminal that is closed and a `| tee` that dies must not end what stands beside a line: what
    is said from then on is said to nobody. What cannot be written to stderr for another reason
    (its file is on a full disk) is left out as well; of stdout, where data goes, that is an error.
    """
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        out, err = (
            stack.enter_context(open(os.devnull, "w")) if one is None else one for one in before
        )
        sys.stdout = cast("IO[str]", _Patient(out, is_talk=False))
        sys.stderr = cast("IO[str]", _Patient(err, is_talk=True))
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


class _Patient:
    """A stream to write to, whose reader may leave; all else is that stream's own."""

    def __init__(self, stream: IO[str], *, is_talk: bool) -> None:
        self._stream = stream
        self._is_talk = is_talk

    def write(self, text: str) -> int:
        with self._enduring():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._enduring():
            self._stream.flush()

    @contextlib.contextmanager
    def _enduring(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in HAS_LEFT:
                _speak_to_nobody(self._stream.fileno())
            elif not self._is_talk:
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _speak_to_nobody(descriptor: int) -> None:
    """From now on the process's writing to a descriptor goes nowhere, and succeeds."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
