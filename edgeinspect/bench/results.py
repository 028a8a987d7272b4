"""What a bench found, as plain values: `bench.json` is this and nothing else.

The schema is described in docs/bench.md; keys are promised to those who read the file, and units
are in their names.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeinspect.bench.latency import Latency, Ratio
from edgeinspect.errors import DataError
from edgeinspect.numbers import json_plain

__all__ = [
    "N_KEPT",
    "SCHEMA",
    "BaselineResult",
    "BenchReport",
    "VariantResult",
    "read_report",
]

SCHEMA = 1
N_DIGITS = 6  # of every figure
N_KEPT = 2000  # times of a variant that are kept, spread evenly over those measured


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantResult:
    """One combination of runtime, precision and batch.

    Attributes:
        latency: of a call for `batch` images. device_ms: the graph's own time on a GPU, p50.
        ratio: how many times as fast as the unoptimised model, an image at a time each.
        round_ms: medians of the rounds. times_ms: of calls, evenly thinned out, for plots.
        stages_ms: of `run`, a part; None before calibration. end_to_end_ms: of those calls.
        parity: against PyTorch's answers in the bundle. engine: its fingerprint and build.
        warnings: what makes its figures doubtful.
    """

    name: str
    runtime: str
    precision: str
    batch: int
    threads: int | None
    latency: Latency
    images_per_s: float
    device_ms: float | None
    ratio: Ratio | None
    round_ms: tuple[float, ...]
    times_ms: tuple[float, ...]
    stages_ms: Mapping[str, float] | None
    end_to_end_ms: Latency | None
    roofline: Mapping[str, Any] | None
    energy: Mapping[str, Any] | None
    parity: Mapping[str, Any] | None
    engine: Mapping[str, Any] | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineResult:
    """The unoptimised model: measured in the same run, or named with the reason why not."""

    name: str
    description: str
    latency: Latency | None
    round_ms: tuple[float, ...]
    why_not: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """All of it; dictionaries hold JSON types only.

    Attributes:
        measured_at: ISO 8601, UTC.
        bundle: name, hashes of manifest, graphs and calibration, threshold and false-reject rate.
        pictures: what was judged, how many, and their hash.
        hardware, versions: of the box. states: clocks, temperatures and load, round by round.
        settings: rounds, threads and what else was asked for.
        baselines: the unoptimised model; the first is what ratios refer to.
        left_out: names and reasons.
        warnings: about the whole run. notes: what could not be said, and why.
        plan: what `edgeinspect plan` left in the bundle, or None.
    """

    schema: int = SCHEMA
    measured_at: str
    bundle: Mapping[str, Any]
    pictures: Mapping[str, Any]
    hardware: Mapping[str, Any]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    baselines: tuple[BaselineResult, ...]
    variants: tuple[VariantResult, ...]
    left_out: tuple[Mapping[str, str], ...]
    states: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    plan: Mapping[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        """JSON types only; numbers that are not finite become null."""
        found = json_plain(dataclasses.asdict(self), digits=N_DIGITS)
        assert isinstance(found, dict)
        return found

    def to_json(self) -> str:
        return json.dumps(self.plain(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """Those of the run, then those of each variant with its name."""
        named = [f"{v.name}: {words}" for v in self.variants for words in v.warnings]
        return (*self.warnings, *named)


def read_report(path: Path) -> dict[str, Any]:
    """A bench.json, or the one in a folder, in JSON types.

    Raises: DataError if it is missing, none of ours, damaged, or of a newer schema.
    """
    file = path / "bench.json" if path.is_dir() else path
    hint = "give the bench.json of an earlier: edgeinspect bench BUNDLE --out FOLDER"
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        schema, rows = int(plain["schema"]), plain["variants"]
        is_ours = isinstance(plain["hardware"], dict) and all(
            {"name", "latency"} <= set(row) and min(map(float, row["round_ms"])) > 0 for row in rows
        )
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}", hint=hint) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is not a report of edgeinspect bench", hint=hint) from error
    if not is_ours:
        raise DataError(f"{file} is not a report of edgeinspect bench", hint=hint)
    if schema > SCHEMA:
        raise DataError(
            f"{file} has schema {schema}, this edgeinspect reads up to {SCHEMA}",
            hint="run: pip install --upgrade edgeinspect",
        )
    found: dict[str, Any] = plain
    return found
