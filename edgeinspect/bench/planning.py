"""Which settings of a bundle meet a deadline on this box: `edgeinspect plan`.

    runtime x precision x batch, and with a run also scales, merging, tiles -> measured, in turns,
from file to record -> AUROC on labelled pictures -> Pareto front -> the choice, in a copy
"""

from __future__ import annotations

import contextlib
import importlib
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.bench.candidates import AS_IS, Candidate, Demand, judge, on_front, pick
from edgeinspect.bench.machine import read_hardware, read_versions
from edgeinspect.bench.pictures import BenchPictures, open_pictures
from edgeinspect.bench.stages import measure_stages
from edgeinspect.bench.variants import (
    LeftOut,
    Variant,
    VariantKey,
    check_batches,
    open_all,
    variant_keys,
)
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision
from edgeinspect.data.images import read_picture
from edgeinspect.data.layout import LabelledPicture, find_test
from edgeinspect.errors import (
    BundleError,
    ConfigError,
    EngineError,
    ImageError,
    MissingPackageError,
)
from edgeinspect.metrics import auroc
from edgeinspect.progress import OnProgress, no_progress
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.opening import find_engine_here
from edgeinspect.runtime.session import MOST_THREADS

__all__ = ["Plan", "PlanSettings", "plan_bundle"]

N_TURNS = 4
WARM_CALLS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """What to search; None takes all that is ready. `seconds` is what each setting is measured.

    `threads` are of the CPU; None takes one and all cores. `merge` is as of `list_changes`.
    """

    runtimes: tuple[str, ...] | None = None
    precisions: tuple[Precision, ...] | None = None
    batches: tuple[int, ...] = (1, 2, 4, 8)
    merge: tuple[int, ...] | None = None
    threads: tuple[int, ...] | None = None
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.threads is not None and not all(1 <= n <= MOST_THREADS for n in self.threads):
            words = ",".join(map(str, self.threads))
            hint = f"write numbers from 1 to {MOST_THREADS}, as 1,4"
            raise ConfigError(f"threads is {words}", hint=hint)
        check_batches(self.batches)
        if self.merge is not None and min(self.merge, default=0) < 0:
            words = ",".join(map(str, self.merge))
            raise ConfigError(f"merge is {words}", hint="write numbers from 0 on, as 8,16")
        if not 0 < self.seconds < math.inf:
            raise ConfigError(f"seconds are {self.seconds}: it must be a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was found. `choice` is one of `candidates`; `front` names the best trade-offs."""

    name: str  # of the bundle that was planned for
    demand: Demand
    candidates: tuple[Candidate, ...]
    front: tuple[str, ...]
    choice: Candidate
    left_out: tuple[LeftOut, ...]
    bundle: Bundle  # that the choice needs, in a folder that does not last

    def plain(self) -> dict[str, Any]:
        """JSON types only; stable keys."""
        return {
            "schema": 1,
            "planned_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "demand": asdict(self.demand),
            "choice": self.choice.plain(),
            "candidates": [candidate.plain() for candidate in self.candidates],
            "front": list(self.front),
            "left_out": [asdict(one) for one in self.left_out],
            "hardware": asdict(read_hardware()),
            "versions": read_versions(),
        }


@contextlib.contextmanager
def plan_bundle(
    bundle: Bundle,
    demand: Demand,
    settings: PlanSettings,
    *,
    data: Path | None = None,
    run: Path | None = None,
    good: Path | None = None,
    on_progress: OnProgress = no_progress,
) -> Iterator[Plan]:
    """Search, and hold what was made for it (engines, exports) inside the `with`.

    Args:
        data: labelled pictures (test/good, test/DEFECT) for AUROC; they are measured on as well.
        run, good: the training run and good pictures, for settings that need a new export.
    Raises: NotCalibratedError; DataError; ConfigError if nothing meets the demand, or a change is
        to be searched without labelled pictures; what runtimes raise.
    """
    bundle.require_calibration()
    _check_request(settings, data, run, good)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        search = _Search(demand=demand, settings=settings, data=data, on_progress=on_progress)
        bundles = [(AS_IS, search.with_engines(bundle, folder))]
        if run is not None and good is not None:
            bundles += search.changed(bundle, run, good, folder)
        else:
            why = "it takes a new export and calibration: give --run, --good and --data"
            search.left_out.append(LeftOut(name="scales, merging, tiles", why=why))
        candidates = search.measure(bundles, stack)
        choice = pick(candidates, demand)
        yield Plan(
            name=bundle.name,
            demand=demand,
            candidates=tuple(candidates),
            front=tuple(one.name for one in on_front(candidates)),
            choice=choice,
            left_out=tuple(search.left_out),
            bundle=dict(bundles)[choice.change],
        )


def _check_request(
    settings: PlanSettings, data: Path | None, run: Path | None, good: Path | None
) -> None:
    if settings.merge is not None and run is None:
        raise ConfigError(
            "--merge was given, and merging takes a new export",
            hint="give --run, --good and --data too",
        )
    if (run is None) != (good is None):
        raise ConfigError(
            "one of --run and --good was given", hint="a new export needs both: give the other too"
        )
    if run is not None and data is None:
        raise ConfigError(
            "what fewer scales or merging cost is measured, never assumed",
            hint="give labelled pictures as --data",
        )


@dataclass(slots=True, kw_only=True)
class _Open:
    """A variant of one of the bundles, with what was measured so far."""

    bundle: Bundle
    change: str
    variant: Variant
    pictures: BenchPictures
    calls_ms: list[NDArray[np.float64]] = field(default_factory=list)
    n_parts: int = 1


@dataclass(slots=True, kw_only=True)
class _Search:
    demand: Demand
    settings: PlanSettings
    data: Path | None
    on_progress: OnProgress
    left_out: list[LeftOut] = field(default_factory=list)

    def with_engines(self, bundle: Bundle, folder: Path) -> Bundle:
        """The bundle, or a copy with the engines that its runtimes lack."""
        keys, _ = self._keys(bundle)
        on_engines = {(k.runtime, k.precision) for k in keys if k.runtime.startswith("tensorrt")}
        largest = max(self.settings.batches)
        lacking = [wanted for wanted in on_engines if not _has_engine(bundle, *wanted, largest)]
        if not lacking:
            return bundle
        from edgeinspect.building import BuildRequest, build_engine
        from edgeinspect.engines import BatchRange

        copy = folder / "with-engines.bundle"
        shutil.copytree(bundle.path, copy)
        batch = BatchRange(smallest=1, tuned=1, largest=largest)
        for name, precision in sorted(lacking):
            try:
                build_engine(copy, BuildRequest(runtime=name, precision=precision, batch=batch))
            except (BundleError, EngineError) as error:
                self.left_out.append(LeftOut(name=name, why=str(error)))
        return read_bundle(copy)

    def changed(
        self, bundle: Bundle, run: Path, good: Path, folder: Path
    ) -> list[tuple[str, Bundle]]:
        """The run exported and calibrated in other ways; takes torch."""
        changes = importlib.import_module("edgeinspect.bench.changes")
        made, failed = changes.make_changed(
            bundle, run, good, folder, merge=self.settings.merge, on_progress=self.on_progress
        )
        self.left_out += [LeftOut(name=name, why=why) for name, why in failed]
        return [(name, self.with_engines(one, folder / name)) for name, one in made]

    def measure(
        self, bundles: Sequence[tuple[str, Bundle]], stack: contextlib.ExitStack
    ) -> list[Candidate]:
        """All variants of all bundles, in turns, so that drift hits all alike."""
        opened = [one for change, bundle in bundles for one in self._open(bundle, change, stack)]
        for turn in range(N_TURNS):
            for i, one in enumerate(opened):
                self._measure(one)
                self.on_progress("measuring", turn * len(opened) + i + 1, N_TURNS * len(opened))
        aurocs = self._aurocs(opened)
        return [
            judge(
                one.variant.key,
                one.change,
                np.concatenate(one.calls_ms),
                n_parts=one.n_parts,
                auroc=aurocs.get(_place(one)),
                demand=self.demand,
            )
            for one in opened
        ]

    def _keys(self, bundle: Bundle) -> tuple[list[VariantKey], list[LeftOut]]:
        return variant_keys(
            bundle,
            runtimes=self.settings.runtimes,
            precisions=self.settings.precisions,
            batches=self.settings.batches,
            threads=self.settings.threads or (1, read_hardware().n_cores),
        )

    def _open(self, bundle: Bundle, change: str, stack: contextlib.ExitStack) -> list[_Open]:
        keys, left_out = self._keys(bundle)
        pictures = stack.enter_context(open_pictures(bundle, self.data))
        is_strict = self.settings.runtimes is not None
        variants, more = open_all(bundle, keys, pictures, stack, is_strict=is_strict)
        self.left_out += [one for one in (*left_out, *more) if one not in self.left_out]
        return [
            _Open(bundle=bundle, change=change, variant=variant, pictures=pictures)
            for variant in variants
        ]

    def _measure(self, one: _Open) -> None:
        """A turn of one variant: a part of its seconds, a few calls at least."""
        known = one.calls_ms[-1].mean() if one.calls_ms else None
        n_calls = WARM_CALLS
        if known is not None:
            seconds = self.settings.seconds / (N_TURNS - 1)
            n_calls = max(WARM_CALLS, math.ceil(1e3 * seconds / known))
        stages = measure_stages(one.bundle, one.variant, one.pictures, n_calls=n_calls)
        one.calls_ms.append(stages.calls_ms)
        one.n_parts = stages.n_parts

    def _aurocs(self, opened: Sequence[_Open]) -> dict[tuple[str, str, str], float | None]:
        """By change, runtime and precision; the batch changes nothing."""
        if self.data is None:
            return {}
        labelled = find_test(self.data)
        found: dict[tuple[str, str, str], float | None] = {}
        for i, one in enumerate(opened):
            if _place(one) not in found:
                found[_place(one)] = _auroc(one, labelled)
            self.on_progress("AUROC", i + 1, len(opened))
        return found


def _place(one: _Open) -> tuple[str, str, str]:
    key = one.variant.key
    return one.change, key.runtime, key.precision.value


def _auroc(one: _Open, labelled: Sequence[LabelledPicture]) -> float | None:
    """Of the scores of pictures that can be judged; None with one class only."""
    inspector = Inspector(one.bundle, one.variant.session, batch=one.variant.key.batch)
    white = inspector.white_level_16bit
    scores, is_defect = [], []
    for picture in labelled:
        try:
            found = inspector(read_picture(picture.path, white_level_16bit=white))
        except ImageError:
            continue
        if found.score is not None and math.isfinite(found.score):
            scores.append(found.score)
            is_defect.append(not picture.is_good)
    return auroc(scores, is_defect) if scores else None


def _has_engine(bundle: Bundle, runtime: str, precision: Precision, batch: int) -> bool:
    try:
        find_engine_here(bundle, runtime, precision, batch)
    except (BundleError, EngineError, MissingPackageError):
        return False
    return True
