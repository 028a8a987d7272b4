"""One variant's row of the report, from its rounds and what is measured on it alone."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from edgeinspect.bench.energy import Energy, Meter
from edgeinspect.bench.identity import engine_facts
from edgeinspect.bench.latency import Latency, Ratio, median_ratio
from edgeinspect.bench.measuring import Rounds
from edgeinspect.bench.pictures import BenchPictures
from edgeinspect.bench.results import N_KEPT, VariantResult
from edgeinspect.bench.roofline import Peak, Roofline, Work, measure_peak, work_of
from edgeinspect.bench.stages import StageTimes, measure_stages
from edgeinspect.bench.variants import Variant
from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision
from edgeinspect.data.splits import spread_places
from edgeinspect.errors import BundleError
from edgeinspect.numbers import three_digits, two_digits
from edgeinspect.parity import Golden, ParityReport
from edgeinspect.runtime.proof import prove
from edgeinspect.runtime.session import open_session

__all__ = ["RowMaker"]

NOISY_CV = 0.05
STAGES_S = 2.0  # of a variant's stages, about
FEWEST_CALLS, MOST_CALLS = 5, 200
LAUNCH_BOUND = 1.5  # host time : device time of a call, from where launching is what costs


@dataclass(slots=True, kw_only=True)
class RowMaker:
    """Makes rows; peaks are measured once a runtime and precision. `notes` is what was not said."""

    bundle: Bundle
    pictures: BenchPictures
    meters: Sequence[Meter]
    notes: list[str] = field(default_factory=list)
    _peaks: dict[tuple[str, str], Peak | None] = field(default_factory=dict)
    _parities: dict[tuple[str, str], ParityReport | None] = field(default_factory=dict)

    def row(self, variant: Variant, rounds: Rounds, baseline: Rounds | None) -> VariantResult:
        key, latency = variant.key, Latency.of(rounds.times_ms)
        stages = self._stages(variant, latency.p50_ms)
        device_ms = _device_ms(variant)
        roofline = self._roofline(variant, latency.p50_ms)
        energy = Energy.measure(variant.infer, key.batch, self.meters)
        parity = self._parity(variant)
        return VariantResult(
            name=key.name,
            runtime=key.runtime,
            precision=key.precision.value,
            batch=key.batch,
            threads=key.threads,
            latency=latency,
            images_per_s=latency.images_per_s(key.batch),
            device_ms=device_ms,
            ratio=_ratio(rounds, baseline),
            round_ms=tuple(rounds.medians_ms.tolist()),
            times_ms=_thinned(rounds),
            stages_ms=None if stages is None else _stage_facts(stages),
            end_to_end_ms=None if stages is None else Latency.of(stages.calls_ms),
            roofline=None if roofline is None else asdict(roofline),
            energy=None
            if energy is None
            else {**asdict(energy), "images_per_joule": energy.images_per_joule},
            parity=None if parity is None else {**asdict(parity), "is_within": parity.is_within},
            engine=engine_facts(self.bundle, key),
            warnings=tuple(_warnings(latency, rounds, device_ms)),
        )

    def _stages(self, variant: Variant, call_ms: float) -> StageTimes | None:
        if self.bundle.calibration is None:
            self._note("there are no stages of `run`: the bundle is not calibrated")
            return None
        n_calls = min(MOST_CALLS, max(FEWEST_CALLS, math.ceil(STAGES_S * 1e3 / call_ms)))
        return measure_stages(self.bundle, variant, self.pictures, n_calls=n_calls)

    def _roofline(self, variant: Variant, call_ms: float) -> Roofline | None:
        key = variant.key
        if key.precision is Precision.INT8:
            self._note("there is no roofline of int8: its products are of two types")
            return None
        work = work_of(self.bundle, key.precision) or _work_by_torch(self.bundle, variant)
        if work is None:
            self._note("there is no roofline: the bundle does not say what its graphs cost")
            return None
        place = (key.runtime, key.precision.value)
        if place not in self._peaks:
            self._peaks[place] = measure_peak(key)
        peak = self._peaks[place]
        if peak is None:
            self._note(
                f"there is no roofline of {key.runtime}: ONNX Runtime cannot show its peak here"
            )
            return None
        return Roofline.of(work, peak, batch=key.batch, call_ms=call_ms)

    def _parity(self, variant: Variant) -> ParityReport | None:
        """Against PyTorch's answers, once a runtime and precision."""
        key = variant.key
        place = (key.runtime, key.precision.value)
        if place not in self._parities:
            self._parities[place] = self._prove(variant)
        return self._parities[place]

    def _prove(self, variant: Variant) -> ParityReport | None:
        try:
            golden = Golden.load(self.bundle.golden_path)
        except BundleError:
            self._note("there is no parity: the bundle has no golden outputs")
            return None
        key = variant.key
        with open_session(
            self.bundle,
            runtime=key.runtime,
            precision=key.precision,
            batch=key.batch,
            threads=key.threads,
            constants=golden.constants,
        ) as session:
            return prove(session, golden, key.precision)

    def _note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)


def _work_by_torch(bundle: Bundle, variant: Variant) -> Work | None:
    """From the graph itself, which takes the packages of the extra `train`."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "onnx")):
        return None
    flops = importlib.import_module("edgeinspect.export.graph_flops")
    return Work(**flops.describe_work(bundle.graph_path(variant.key.precision)))


def _ratio(rounds: Rounds, baseline: Rounds | None) -> Ratio | None:
    """Time an image of the baseline : of the variant; above 1 it is faster."""
    if baseline is None:
        return None
    own = rounds.medians_ms / rounds.case.batch
    return median_ratio(baseline.medians_ms / baseline.case.batch, own)


def _device_ms(variant: Variant) -> float | None:
    """The device's time of a call as `run` makes it, where the runtime tells it."""
    if not hasattr(variant.session, "device_ms"):
        return None
    variant.infer()
    return float(np.median(variant.session.device_ms(variant.key.batch, FEWEST_CALLS)))


def _thinned(rounds: Rounds) -> tuple[float, ...]:
    times = rounds.times_ms.ravel()
    return tuple(times[spread_places(times.size, N_KEPT)].tolist())


def _stage_facts(stages: StageTimes) -> dict[str, float]:
    return {**dict(stages.shares()), "end_to_end": stages.end_to_end}


def _warnings(latency: Latency, rounds: Rounds, device_ms: float | None) -> list[str]:
    found = []
    if latency.cv > NOISY_CV:
        found.append(
            f"noisy: its rounds differ by {two_digits(100 * latency.cv)} % (coefficient of"
            f" variation), up to {100 * NOISY_CV:.0f} % is usual"
        )
    if not rounds.warm_up.is_stable:
        found.append(f"still not stable after {rounds.warm_up.n_calls} calls of warm-up")
    if device_ms is not None and latency.p50_ms > LAUNCH_BOUND * device_ms:
        found.append(
            f"bound by launches: a call takes {three_digits(latency.p50_ms)} ms, the device"
            f" {three_digits(device_ms)} ms of it; try a larger --batch"
        )
    return found
