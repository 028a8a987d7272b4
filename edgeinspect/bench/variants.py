"""What is measured: each combination of runtime, precision and batch, as an open session."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeinspect.bench.pictures import BenchPictures
from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision
from edgeinspect.constants import RuleConstants
from edgeinspect.errors import (
    BundleError,
    ConfigError,
    EngineError,
    MissingPackageError,
    ParityError,
)
from edgeinspect.parity import Golden
from edgeinspect.runtime.opening import check_runtime, pick_precision
from edgeinspect.runtime.session import (
    AUTO,
    MOST_IMAGES,
    ON_CPU,
    RUNTIMES,
    Scores,
    Session,
    open_session,
)

__all__ = [
    "LeftOut",
    "Variant",
    "VariantKey",
    "bench_constants",
    "check_batches",
    "open_all",
    "open_variant",
    "variant_keys",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantKey:
    """Settings of a session; `threads` None leaves them to the runtime."""

    runtime: str
    precision: Precision
    batch: int
    threads: int | None = None

    @property
    def name(self) -> str:
        """Such as "onnxruntime fp32 batch 8"."""
        return f"{self.runtime} {self.precision.value} batch {self.batch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What was not measured, and why."""

    name: str
    why: str


class Variant:
    """An open session with the batch that it is measured on. The session is the caller's."""

    def __init__(
        self,
        key: VariantKey,
        session: Session,
        pictures: BenchPictures,
        *,
        n_tiles: int,
        map_above: float,
    ) -> None:
        """`map_above` is as in `Session.infer`: `run` wants maps of NG parts alone."""
        self.key, self.session = key, session
        self._images = pictures.batch(key.batch)
        self._tile = pictures.places(key.batch, n_tiles)
        self._map_above = map_above

    def infer(self) -> Scores:
        """One call, as `run` makes it."""
        return self.session.infer(self._images, self._tile, map_above=self._map_above)


def check_batches(batches: Sequence[int]) -> None:
    """Raise ConfigError unless all are numbers of images."""
    if not batches or not 1 <= min(batches) <= max(batches) <= MOST_IMAGES:
        words = ",".join(map(str, batches)) or "empty"
        hint = f"write numbers from 1 to {MOST_IMAGES}, as 1,8"
        raise ConfigError(f"batch is {words}", hint=hint)


def variant_keys(
    bundle: Bundle,
    *,
    runtimes: Sequence[str] | None,
    precisions: Sequence[Precision] | None,
    batches: Sequence[int],
    threads: Sequence[int | None],
) -> tuple[list[VariantKey], list[LeftOut]]:
    """The combinations to measure, batches together.

    Args:
        runtimes: by name; None takes all that this machine has and the bundle has graphs for, and
            says what the others lack.
        precisions: None takes what `run` would, and INT8 where the bundle has it.
        threads: of the CPU, for runtimes that run on one; None leaves them to the runtime.
    Raises: EngineError, BundleError or MissingPackageError if a runtime that was named is not ready
        here; ConfigError for "auto", which would leave open what was measured.
    """
    if runtimes is not None and AUTO in runtimes:
        raise ConfigError(
            f"runtimes are measured by their names, and {AUTO!r} is none",
            hint="without --runtime all that are ready are measured",
        )
    keys: list[VariantKey] = []
    left_out: list[LeftOut] = []
    for name in dict.fromkeys(runtimes or [r for r in RUNTIMES if r != AUTO]):
        try:
            check_runtime(name)
            of_runtime = precisions or _usual_precisions(bundle, name)
        except (BundleError, EngineError, MissingPackageError) as error:
            if runtimes is not None:
                raise
            left_out.append(LeftOut(name=name, why=str(error)))
            continue
        keys += [
            VariantKey(runtime=name, precision=precision, batch=batch, threads=n)
            for precision in of_runtime
            for batch in dict.fromkeys(batches)
            for n in (dict.fromkeys(threads) if name in ON_CPU else (None,))
        ]
    return keys, left_out


def _usual_precisions(bundle: Bundle, runtime: str) -> tuple[Precision, ...]:
    """Raises: BundleError if it has no graph for the runtime."""
    first = pick_precision(bundle, runtime, None)
    bundle.graph_path(first)
    has_int8 = runtime == "onnxruntime" and bundle.has_graph(Precision.INT8)
    return (first, Precision.INT8) if has_int8 else (first,)


def open_variant(
    bundle: Bundle, key: VariantKey, pictures: BenchPictures, stack: contextlib.ExitStack
) -> Variant:
    """Open a session that `stack` closes. Raises: what `open_session` raises."""
    constants, map_above = bench_constants(bundle)
    session = open_session(
        bundle,
        runtime=key.runtime,
        precision=key.precision,
        batch=key.batch,
        threads=key.threads,
        constants=constants,
    )
    stack.enter_context(session)
    return Variant(key, session, pictures, n_tiles=constants.n_tiles, map_above=map_above)


def open_all(
    bundle: Bundle,
    keys: Sequence[VariantKey],
    pictures: BenchPictures,
    stack: contextlib.ExitStack,
    *,
    is_strict: bool,
) -> tuple[list[Variant], list[LeftOut]]:
    """Open all, or say why not.

    Args:
        is_strict: they were asked for by name, so that one that cannot be opened is an error.
    Raises: EngineError, also if none can be opened.
    """
    variants, left_out = [], []
    for key in keys:
        try:
            variants.append(open_variant(bundle, key, pictures, stack))
        except ParityError:
            raise
        except EngineError as error:
            if is_strict:
                raise
            left_out.append(LeftOut(name=key.name, why=str(error)))
    if not variants:
        why = left_out[0].why if left_out else "no runtime is ready"
        raise EngineError(f"nothing can be measured: {why}", hint="run: edgeinspect doctor")
    return variants, left_out


def bench_constants(bundle: Bundle) -> tuple[RuleConstants, float]:
    """The calibration's constants and threshold; before it, the golden ones and no map at all."""
    if bundle.calibration is None:
        return Golden.load(bundle.golden_path).constants, np.inf
    return bundle.calibration.constants, bundle.calibration.threshold.value
