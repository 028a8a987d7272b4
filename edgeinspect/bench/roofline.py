"""How close a variant comes to what the box can do at all.

What a call costs at least is in the bundle's manifest (`export.graph_flops`); what the box can do
is measured in the same run, on the same runtime, threads and precision: the best of a large matrix
product and of a large copy. The larger of the two times is the limit that a call cannot beat.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.bench.product_graph import copy_graph, product_graph
from edgeinspect.bench.variants import VariantKey
from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision
from edgeinspect.errors import EngineError
from edgeinspect.runtime.onnxruntime_graph import CPU, CUDA, OnnxGraph, has_cuda
from edgeinspect.runtime.session import ON_CPU

__all__ = ["Peak", "Roofline", "Work", "measure_peak", "work_of"]

_log = logging.getLogger(__name__)

CPU_SIDE, GPU_SIDE = 1024, 8192
CPU_VALUES, GPU_VALUES = 1 << 25, 1 << 28  # FP32, well beyond the caches
N_TIMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one call of a graph costs at least; see `export.graph_flops.describe_work`."""

    flop_per_image: int
    weight_bytes: int
    value_bytes_per_image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The best rates that were seen; `runtime` measured them in `precision`."""

    runtime: str
    precision: Precision
    flop_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline:
    """A call against its limit.

    Attributes:
        share: of the limit that was reached; above 1 where caches keep what the count of bytes lets
            go through memory.
        limit: "compute" or "memory", whichever takes longer at the box's best.
        flop_per_byte: of the call, which decides that.
    """

    share: float
    limit: str
    flop_per_byte: float
    flop_per_s: float
    peak_flop_per_s: float
    peak_bytes_per_s: float

    @classmethod
    def of(cls, work: Work, peak: Peak, *, batch: int, call_ms: float) -> Roofline:
        """Of a call for `batch` images that takes `call_ms`."""
        flop = work.flop_per_image * batch
        n_bytes = work.weight_bytes + work.value_bytes_per_image * batch
        compute_s, memory_s = flop / peak.flop_per_s, n_bytes / peak.bytes_per_s
        return cls(
            share=max(compute_s, memory_s) / (call_ms / 1e3),
            limit="compute" if compute_s >= memory_s else "memory",
            flop_per_byte=flop / n_bytes,
            flop_per_s=flop / (call_ms / 1e3),
            peak_flop_per_s=peak.flop_per_s,
            peak_bytes_per_s=peak.bytes_per_s,
        )


def work_of(bundle: Bundle, precision: Precision) -> Work | None:
    """From the manifest; None for bundles that were exported before it was written there."""
    found = bundle.manifest.graph.get("work", {}).get(precision.value)
    return None if found is None else Work(**found)


def measure_peak(key: VariantKey) -> Peak | None:
    """Of the box as a variant uses it; None where it cannot be asked.

    All are held to what ONNX Runtime reaches on the same CPU or GPU: engines of TensorRT only if
    its CUDA is there, and nothing where memory is too small for that.
    """
    is_cpu = key.runtime in ON_CPU
    is_half = key.precision is Precision.FP16 and not is_cpu
    side, n_values = (CPU_SIDE, CPU_VALUES) if is_cpu else (GPU_SIDE, GPU_VALUES)
    kind = np.float16 if is_half else np.float32
    try:
        if not is_cpu and not has_cuda():
            return None
        product_s = _seconds(product_graph(side, is_half=is_half), np.ones((side, side), kind), key)
        copy_s = _seconds(copy_graph(n_values), np.ones(n_values, np.float32), key)
    except EngineError as error:
        _log.debug("there is no peak of %s: %s", key.runtime, error)
        return None
    return Peak(
        runtime=key.runtime,
        precision=Precision.FP16 if is_half else Precision.FP32,
        flop_per_s=2 * side**3 / product_s,
        bytes_per_s=2 * 4 * n_values / copy_s,
    )


def _seconds(graph: bytes, values: NDArray[Any], key: VariantKey) -> float:
    """The shortest of some runs on `values`; all stay on the device. Raises: EngineError."""
    provider, options = (CPU, {}) if key.runtime in ON_CPU else (CUDA, {"use_tf32": "0"})
    with TemporaryDirectory() as folder:
        path = Path(folder, "peak.onnx")
        path.write_bytes(graph)
        opened = OnnxGraph(path, provider=provider, options=options, threads=key.threads)
    binding = opened.binding()
    for name in opened.tensors.inputs:
        binding.bind_ortvalue_input(name, opened.on_device(values))
    binding.bind_ortvalue_output("result", opened.on_device(values))
    times = []
    for _ in range(N_TIMES + 1):
        start = time.perf_counter()
        opened.run(binding)
        times.append(time.perf_counter() - start)
    return min(times[1:])
