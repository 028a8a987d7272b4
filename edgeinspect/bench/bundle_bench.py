"""A bundle in, a `BenchReport` out: all that `edgeinspect bench` does.

open every variant and the unoptimised model -> warm up -> interleaved rounds
-> stages of `run`, energy, the box's peak, parity, each variant on its own
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeinspect.bench.energy import Meter, find_meters
from edgeinspect.bench.identity import bundle_facts, picture_facts
from edgeinspect.bench.latency import Latency
from edgeinspect.bench.machine import Hardware, Watch, read_hardware, read_versions
from edgeinspect.bench.measuring import Case, Rounds, measure_rounds
from edgeinspect.bench.nvml import open_nvml
from edgeinspect.bench.pictures import BenchPictures, open_pictures
from edgeinspect.bench.plan_record import read_plan
from edgeinspect.bench.results import BaselineResult, BenchReport, VariantResult
from edgeinspect.bench.row import RowMaker
from edgeinspect.bench.variants import LeftOut, Variant, check_batches, open_all, variant_keys
from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision
from edgeinspect.errors import ConfigError
from edgeinspect.progress import OnProgress, no_progress
from edgeinspect.runtime.session import ON_CPU

__all__ = ["BenchSettings", "bench_bundle"]

UNOPTIMISED = "form all, eager FP32 PyTorch, masked passes one after another, scoring outside"
NO_TORCH = "torch is not installed here, so no ratio is given; its reference is"
# Of fewer, not even the smallest and the largest hold their median 19 times in 20 (2 / 2^n).
FEWEST_ROUNDS, MOST_ROUNDS = 6, 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """What to measure, and how long; None takes what the box and the bundle have."""

    runtimes: tuple[str, ...] | None = None
    precisions: tuple[Precision, ...] | None = None
    batches: tuple[int, ...] = (1,)
    rounds: int = 20
    threads: int | None = None
    has_baseline: bool = True

    def __post_init__(self) -> None:
        check_batches(self.batches)
        if not FEWEST_ROUNDS <= self.rounds <= MOST_ROUNDS:
            raise ConfigError(
                f"rounds is {self.rounds}: it must lie in {FEWEST_ROUNDS} to {MOST_ROUNDS}",
                hint="20 is usual",
            )


def bench_bundle(
    bundle: Bundle,
    settings: BenchSettings,
    *,
    data: Path | None = None,
    on_progress: OnProgress = no_progress,
) -> BenchReport:
    """Measure a bundle on this box.

    Args:
        data: a folder of pictures; None takes the bundle's golden images.
    Raises: DataError if there are no pictures; EngineError or MissingPackageError if a runtime
        that was named is not ready, or an engine does not take a batch; ParityError.
    """
    keys, left_out = variant_keys(
        bundle,
        runtimes=settings.runtimes,
        precisions=settings.precisions,
        batches=settings.batches,
        threads=(settings.threads,),
    )
    with contextlib.ExitStack() as stack:
        pictures = stack.enter_context(open_pictures(bundle, data))
        variants, more = open_all(
            bundle, keys, pictures, stack, is_strict=settings.runtimes is not None
        )
        nvml = stack.enter_context(open_nvml())
        meters, notes = find_meters(nvml)
        for meter in meters:
            stack.callback(meter.close)
        run = _Run(
            bundle=bundle,
            settings=settings,
            pictures=pictures,
            variants=variants,
            left_out=[*left_out, *more],
            watch=Watch(nvml),
            meters=meters,
            notes=notes,
            hardware=read_hardware(),
            on_progress=on_progress,
        )
        return run.report()


@dataclass(slots=True, kw_only=True)
class _Run:
    """One bench under way: everything is open."""

    bundle: Bundle
    settings: BenchSettings
    pictures: BenchPictures
    variants: list[Variant]
    left_out: list[LeftOut]
    watch: Watch
    meters: Sequence[Meter]
    notes: list[str]
    hardware: Hardware
    on_progress: OnProgress
    begun: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def report(self) -> BenchReport:
        baseline_cases = self._baseline_cases()
        cases = [Case(name=v.key.name, batch=v.key.batch, run=v.infer) for v in self.variants]
        rounds = measure_rounds(
            [*baseline_cases, *cases],
            self.settings.rounds,
            on_round=self.watch.look,
            on_progress=self.on_progress,
        )
        n = len(baseline_cases)
        baselines, found = rounds[:n], rounds[n:]
        rows = self._rows(found, baselines[0] if baselines else None)
        return BenchReport(
            measured_at=self.begun.isoformat(timespec="seconds"),
            bundle=bundle_facts(self.bundle),
            pictures=picture_facts(self.pictures),
            hardware=asdict(self.hardware),
            versions=read_versions(),
            settings={
                "rounds": self.settings.rounds,
                "threads": self.settings.threads,
                "batches": list(self.settings.batches),
            },
            baselines=self._baseline_results(baselines),
            variants=tuple(rows),
            left_out=tuple({"name": one.name, "why": one.why} for one in self.left_out),
            states=tuple(state.plain() for state in self.watch.states),
            warnings=tuple(self.watch.warnings(self.hardware.n_cores)),
            notes=tuple(self.notes),
            plan=read_plan(self.bundle),
        )

    def _baseline_cases(self) -> list[Case]:
        """The unoptimised model on one image: on the GPU where one is measured, else on the CPU.

        It has as many threads as the runtimes take by themselves: torch's own number may be that of
        an environment variable which they do not read, and the ratio would be of unlike things.
        """
        module = _baseline_module() if self.settings.has_baseline else None
        if module is None:
            return []
        is_on_gpu = any(v.key.runtime not in ON_CPU for v in self.variants)
        device = "cuda" if is_on_gpu and module.has_cuda() else "cpu"
        image, tile = self.pictures.batch(1), self.pictures.places(1, 1)
        threads = self.settings.threads or self.hardware.n_cores
        cases = []
        for is_tf32 in (False, True) if device == "cuda" else (False,):
            model = module.Baseline(
                self.bundle.config, device=device, is_tf32=is_tf32, threads=threads
            )
            infer = functools.partial(model.infer, image, tile)
            cases.append(Case(name=model.name, batch=1, run=infer))
        return cases

    def _baseline_results(self, rounds: Sequence[Rounds]) -> tuple[BaselineResult, ...]:
        preset = self.bundle.config.preset
        description = f"preset {preset}, {UNOPTIMISED}"
        if not rounds:
            asked = self.settings.has_baseline
            why = f"{NO_TORCH} {_reference(self.bundle)}" if asked else "it was not asked for"
            return (
                BaselineResult(
                    name="unoptimised",
                    description=description,
                    latency=None,
                    round_ms=(),
                    why_not=why,
                ),
            )
        return tuple(
            BaselineResult(
                name=one.case.name,
                description=description,
                latency=Latency.of(one.times_ms),
                round_ms=tuple(one.medians_ms.tolist()),
                why_not=None,
            )
            for one in rounds
        )

    def _rows(self, rounds: Sequence[Rounds], baseline: Rounds | None) -> list[VariantResult]:
        maker = RowMaker(bundle=self.bundle, pictures=self.pictures, meters=self.meters)
        rows = []
        for i, (variant, one) in enumerate(zip(self.variants, rounds, strict=True)):
            rows.append(maker.row(variant, one, baseline))
            self.on_progress("stages and proofs", i + 1, len(rounds))
        self.notes += maker.notes
        return rows


def _baseline_module() -> ModuleType | None:
    """`baseline.py` where torch and timm are; by name, so that nothing here depends on them."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "timm")):
        return None
    return importlib.import_module("edgeinspect.bench.baseline")


def _reference(bundle: Bundle) -> str:
    """What the bundle says of the PyTorch it was exported with."""
    versions: dict[str, Any] = bundle.manifest.provenance.get("versions", {})
    torch = versions.get("torch")
    preset = bundle.config.preset
    return f"the unoptimised {preset}" + (f" of torch {torch}" if torch else "")
