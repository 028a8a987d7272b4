"""Which kernels a graph spends its time in on a GPU, through ONNX Runtime.

    python -m benchmarks.gpu.kernels BUNDLE [BUNDLE ...] --batches 1,32 --out FILE

A call is traced by PyTorch's profiler, which sees every kernel of the process; ONNX Runtime runs
node by node here, since a replayed graph is one. Times are the GPU's own: their sum is what a call
takes when nothing waits. Weights may be random: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from edgeinspect.bench.machine import read_hardware, read_versions
from edgeinspect.bundle import read_bundle
from edgeinspect.config import Precision
from edgeinspect.parity import Golden
from edgeinspect.runtime.onnxruntime_cuda import OnnxRuntimeCudaSession
from edgeinspect.writing import write_atomically

N_WARM_UP, N_CALLS, N_SHOWN = 5, 10, 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--batches", default="1,32")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.zeros(1, device="cuda")
    rows = []
    for path in options.bundles:
        for batch in map(int, options.batches.split(",")):
            rows.append({"bundle": path.stem, "batch": batch, **measure(path, batch)})
            print(_table(rows[-1]), flush=True)
    report = {
        "hardware": dataclasses.asdict(read_hardware()),
        "versions": read_versions(),
        "rows": rows,
    }
    write_atomically(options.out, (json.dumps(report, indent=1) + "\n").encode())


def measure(path: Path, batch: int) -> dict[str, Any]:
    """Milliseconds and launches a call, by kernel."""
    bundle = read_bundle(path)
    golden = Golden.load(bundle.golden_path)
    index = np.arange(batch) % len(golden.images)
    images, tile = np.ascontiguousarray(golden.images[index]), np.zeros(batch, np.int32)
    graph = bundle.graph_path(Precision.FP16)
    session = OnnxRuntimeCudaSession(graph, golden.constants, is_replayed=False)
    for _ in range(N_WARM_UP):
        session.infer(images, tile, map_above=np.inf)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
        for _ in range(N_CALLS):
            session.infer(images, tile, map_above=np.inf)
        torch.cuda.synchronize()
    session.close()
    ms: Counter[str] = Counter()
    launches: Counter[str] = Counter()
    for event in trace.events():
        if event.device_type.name == "CUDA":
            ms[event.name] += event.time_range.elapsed_us() / 1e3 / N_CALLS
            launches[event.name] += 1
    kernels = [
        {"kernel": name, "ms": round(value, 4), "launches": launches[name] / N_CALLS}
        for name, value in ms.most_common()
    ]
    return {
        "gpu_ms": round(sum(ms.values()), 3),
        "launches": sum(launches.values()) / N_CALLS,
        "kernels": kernels,
    }


def _table(row: dict[str, Any]) -> str:
    head = f"{row['bundle']}, batch {row['batch']}: {row['gpu_ms']} ms, {row['launches']} launches"
    lines = [
        f"{one['ms']:9.3f} ms {one['launches']:6.1f}  {one['kernel'][:100]}"
        for one in row["kernels"][:N_SHOWN]
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
