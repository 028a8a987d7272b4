"""A bench as a folder, whole or not at all: bench.json, bench.md and the acceptance record.

bench.json   everything, for machines and for `--compare`
bench.md     the tables, for a repository or a ticket
bench.html   one page that needs no other file: to be read, printed and signed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeinspect.bench.charts import Point, latency_chart, roofline_chart, stage_chart
from edgeinspect.bench.plan_record import front_chart, front_table
from edgeinspect.bench.results import BenchReport
from edgeinspect.bench.tables import Table, report_facts, report_tables
from edgeinspect.card import markdown_table
from edgeinspect.numbers import three_digits
from edgeinspect.report.page import render
from edgeinspect.writing import draft_folder, refuse_foreign, write_atomically

__all__ = [
    "AcceptanceRecord",
    "check_bench_folder",
    "render_markdown",
    "render_record",
    "write_bench",
]

REPORT = "bench.json"
TEMPLATE = "acceptance.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceRecord:
    """What the page shows: words alone, and charts as SVG texts."""

    title: str
    lead: str
    is_doubtful: bool
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    wide_charts: tuple[str, ...]
    charts: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def check_bench_folder(out: Path, *, force: bool) -> None:
    """Refuse a place that `write_bench` could not write. Raises: OutputError."""
    refuse_foreign(out, marker=REPORT, foreign="was not written by edgeinspect bench", force=force)


def write_bench(report: BenchReport, out: Path, *, force: bool = False) -> None:
    """Write the folder `out`. Raises: OutputError if it is there without `force`, or not ours."""
    check_bench_folder(out, force=force)
    with draft_folder(out) as draft:
        write_atomically(draft / REPORT, report.to_json().encode())
        write_atomically(draft / "bench.md", render_markdown(report).encode())
        write_atomically(draft / "bench.html", render_record(report).encode())


def render_markdown(report: BenchReport) -> str:
    """Tables, then what to beware of, then what was run on what."""
    parts = [f"# Speed of {report.bundle['name']}\n\n"]
    for table in _tables(report):
        parts.append(f"## {table.title}\n\n{markdown_table(table.header, table.lines)}\n")
        parts.append(f"{table.note}\n\n")
    parts.append(_bullets("Beware", report.all_warnings))
    parts.append(_bullets("Not said", report.notes))
    left_out = [f"{one['name']}: {one['why']}" for one in report.left_out]
    parts.append(_bullets("Not measured", left_out))
    parts.append(
        f"## What was run, and on what\n\n{markdown_table(('', ''), report_facts(report))}"
    )
    return "".join(parts)


def _bullets(title: str, lines: list[str] | tuple[str, ...]) -> str:
    if not lines:
        return ""
    return f"## {title}\n\n" + "".join(f"- {line}\n" for line in lines) + "\n"


def render_record(report: BenchReport) -> str:
    """The acceptance record as HTML text."""
    return render(
        TEMPLATE,
        page=AcceptanceRecord(
            title=f"Acceptance record: {report.bundle['name']}",
            lead=_lead(report),
            is_doubtful=bool(report.all_warnings),
            facts=tuple(report_facts(report)),
            tables=tuple(_tables(report)),
            wide_charts=tuple(_wide_charts(report)),
            charts=tuple(_rooflines(report)),
            warnings=report.all_warnings,
            notes=report.notes,
            left_out=tuple((one["name"], one["why"]) for one in report.left_out),
        ),
    )


def _tables(report: BenchReport) -> list[Table]:
    return report_tables(report) + ([] if report.plan is None else [front_table(report.plan)])


def _lead(report: BenchReport) -> str:
    """The fastest variant in a sentence, with the time of a whole part."""
    best = max(report.variants, key=lambda v: v.images_per_s)
    p50, p99 = (three_digits(ms) for ms in (best.latency.p50_ms, best.latency.p99_ms))
    words = f"{best.name}: {three_digits(best.images_per_s)} images a second"
    words += f", p50 {p50} ms, p99 {p99} ms a call"
    if best.ratio is not None:
        words += f", {best.ratio.value:.2f} times as fast as the unoptimised model"
    if best.stages_ms is not None:
        words += f"; {three_digits(best.stages_ms['end_to_end'])} ms a part, from file to record"
    return words


def _wide_charts(report: BenchReport) -> list[str]:
    series: dict[str, tuple[float, ...]] = {
        base.name: base.round_ms for base in report.baselines if base.round_ms
    }
    series |= {v.name: v.times_ms for v in report.variants}
    charts = [latency_chart(series)]
    stages: dict[str, Mapping[str, float]] = {
        v.name: v.stages_ms for v in report.variants if v.stages_ms is not None
    }
    if stages:
        charts.append(stage_chart(stages))
    front = None if report.plan is None else front_chart(report.plan)
    return charts if front is None else [*charts, front]


def _rooflines(report: BenchReport) -> list[str]:
    """One a runtime and precision, since each has its own peak."""
    charts = []
    for place in dict.fromkeys((v.runtime, v.precision) for v in report.variants):
        rows = [v for v in report.variants if (v.runtime, v.precision) == place]
        found = [(v, v.roofline) for v in rows if v.roofline is not None]
        if not found:
            continue
        points = [
            Point(label=f"batch {v.batch}", x=r["flop_per_byte"], y=r["flop_per_s"], is_main=True)
            for v, r in found
        ]
        first = found[0][1]
        charts.append(
            roofline_chart(
                points,
                peak_flop_per_s=first["peak_flop_per_s"],
                peak_bytes_per_s=first["peak_bytes_per_s"],
                title=f"Roofline of {' '.join(place)}",
            )
        )
    return charts
