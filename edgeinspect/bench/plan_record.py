"""What `plan` leaves in a bundle, and what `bench` shows of it.

plan.json   the demand, every setting with its figures, the front, the choice, the box
plan.svg    latency against AUROC, where labelled pictures were given
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeinspect.bench.comparison import SAME_BOX
from edgeinspect.bench.pareto_chart import Setting, pareto_chart
from edgeinspect.bench.tables import Table, milliseconds
from edgeinspect.bundle import CARD, Bundle, check_target, new_bundle, read_bundle
from edgeinspect.card import write_card
from edgeinspect.errors import OutputError
from edgeinspect.numbers import percent
from edgeinspect.writing import write_atomically

if TYPE_CHECKING:
    from edgeinspect.bench.planning import Plan

__all__ = ["check_place", "front_chart", "front_table", "read_plan", "write_choice"]

PLAN, CHART = "plan.json", "plan.svg"


def check_place(bundle: Path, out: Path, *, force: bool) -> None:
    """Refuse a place where no copy of a bundle can be written. Raises: OutputError."""
    source, target = bundle.resolve(), out.resolve()
    if source in (target, *target.parents):
        raise OutputError(
            f"{out} is the bundle itself, or lies in it",
            hint="the choice goes into a copy: give another place as --out",
        )
    check_target(out, force=force)


def write_choice(plan: Plan, out: Path, *, force: bool = False) -> Bundle:
    """A copy of the bundle with the choice in its manifest, all candidates and their chart beside.

    Raises: OutputError.
    """
    source, found = plan.bundle, plan.plain()
    chosen = {**found["choice"], "hardware": {key: found["hardware"][key] for key in SAME_BOX}}
    provenance = {**source.manifest.provenance, "plan": chosen}
    manifest = dataclasses.replace(source.manifest, name=plan.name, provenance=provenance)
    with new_bundle(out, force=force) as draft:
        for name in set(source.manifest.files) - {PLAN, CHART, CARD}:
            shutil.copy2(source.path / name, draft.folder / name)
        if (source.path / "engines").is_dir():
            shutil.copytree(source.path / "engines", draft.folder / "engines")
        text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(draft.folder / PLAN, f"{text}\n".encode())
        card = write_card(manifest, source.config, source.calibration)
        write_atomically(draft.folder / CARD, card.encode())
        chart = front_chart(found)
        if chart is not None:
            write_atomically(draft.folder / CHART, chart.encode())
        draft.manifest = manifest
    return read_bundle(out)


def read_plan(bundle: Bundle) -> dict[str, Any] | None:
    """What plan.json holds, whose hash is the manifest's; None for a bundle never planned."""
    if PLAN not in bundle.manifest.files:
        return None
    found: dict[str, Any] = json.loads((bundle.path / PLAN).read_text(encoding="utf-8"))
    return found


def front_chart(plan: Mapping[str, Any]) -> str | None:
    """Latency against AUROC, of the settings that have one; None if none has."""
    settings = [
        Setting(
            name=one["name"],
            p99_ms=one["end_to_end"]["p99_ms"],
            auroc=one["auroc"],
            is_on_front=one["name"] in plan["front"],
            is_chosen=one["name"] == plan["choice"]["name"],
        )
        for one in plan["candidates"]
        if one["auroc"] is not None
    ]
    return pareto_chart(settings, deadline_ms=plan["demand"]["deadline_ms"]) if settings else None


def front_table(plan: Mapping[str, Any]) -> Table:
    """The settings of the front, and the one that was taken."""
    taken = {*plan["front"], plan["choice"]["name"]}
    rows = sorted(
        (one for one in plan["candidates"] if one["name"] in taken),
        key=lambda one: float(one["end_to_end"]["p99_ms"]),
    )
    demand, hardware = plan["demand"], plan["hardware"]
    return Table(
        title="Settings that the plan chose from",
        header=("", "p50 ms", "p99 ms", "late at most", "parts/min", "AUROC", "chosen"),
        lines=tuple(_line(one, plan) for one in rows),
        note=f"The Pareto front of {len(plan['candidates'])} settings, from file to record, for a"
        f" deadline of {demand['deadline_ms']:g} ms that at most"
        f" {percent(demand['miss_probability'])} of the parts may miss. Measured by edgeinspect"
        f" plan at {plan['planned_at']} on {hardware['cpu']}, {hardware['n_cores']} cores"
        f"{', ' + hardware['gpu'] if hardware['gpu'] else ''}.",
    )


def _line(one: Mapping[str, Any], plan: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        one["name"],
        milliseconds(one["end_to_end"]["p50_ms"]),
        milliseconds(one["end_to_end"]["p99_ms"]),
        percent(one["late_at_most"]),
        f"{one['parts_per_minute']:.0f}" if one["parts_per_minute"] else "-",
        "-" if one["auroc"] is None else f"{one['auroc']:.3f}",
        "yes" if one["name"] == plan["choice"]["name"] else "",
    )
