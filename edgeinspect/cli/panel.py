"""What is seen of a run while it goes on: a panel on a terminal, a line of warning elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from edgeinspect.runtime.inspector import Reason, Verdict

if TYPE_CHECKING:
    from rich.live import Live
    from rich.panel import Panel

    from edgeinspect.stream.records import Record
    from edgeinspect.stream.run import Run

__all__ = ["Watcher", "show_progress"]

REFRESH_S = 0.25
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
        self._say(f"warning: not inspected: {where}{more}")

    def _say(self, line: str) -> None:
        typer.echo(line, err=True)


class _LivePanel(_Lines):
    """Rate, verdicts, latency and the last NG part, four times a second."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self._last_ng: Record | None = None
        self._next_s = 0.0
        self._before = (time.perf_counter(), 0)

    def add(self, record: Record) -> None:
        super().add(record)
        if record.inspection.verdict is Verdict.NG:
            self._last_ng = record

    def tick(self, run: Run) -> None:
        now_s = time.perf_counter()
        if now_s < self._next_s:
            return
        self._next_s = now_s + REFRESH_S
        (then_s, then_n), n = self._before, run.tally.n_records
        self._before = (now_s, n)
        rate_per_s = (n - then_n) / (now_s - then_s)
        self._live.update(_panel(run, rate_per_s, self._last_ng), refresh=True)

    def _say(self, line: str) -> None:
        self._live.console.print(line, markup=False, highlight=False)


def _panel(run: Run, rate_per_s: float, last_ng: Record | None) -> Panel:
    from rich.panel import Panel
    from rich.table import Table

    from edgeinspect.cli.run_summary import VERDICT_STYLES

    rows = Table.grid(padding=(0, 2))
    tally = run.tally
    of_all = "" if run.n_expected is None else f" of {run.n_expected}"
    rows.add_row("parts", f"{tally.n_records}{of_all}, {rate_per_s:.1f} a second")
    for verdict, n in tally.verdicts.items():
        rows.add_row(verdict.value, str(n), style=VERDICT_STYLES[verdict] if n else "dim")
    if tally.reasons:
        rows.add_row("", ", ".join(f"{r.value} {n}" for r, n in list(tally.reasons.items())))
    quantiles = tally.quantiles_ms().items()
    rows.add_row("latency", ", ".join(f"{name} {ms:.1f} ms" for name, ms in quantiles))
    rows.add_row("waiting", str(run.intake.n_waiting + run.pipeline.n_waiting))
    if last_ng is not None:
        score = last_ng.inspection.score
        rows.add_row("last NG", f"{last_ng.frame.source}  score {score:.4g}", style="red")
    if run.last_notice is not None:
        rows.add_row("notice", run.last_notice.text, style="yellow")
    return Panel(rows, title="edgeinspect run", title_align="left", expand=False)


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
