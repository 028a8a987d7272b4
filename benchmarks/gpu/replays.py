"""Whether batches of changing sizes keep their answers on a GPU, by how they are replayed.

    python -m benchmarks.gpu.replays BUNDLE [--calls 300]

Batches of 1 to 8 golden images, sizes drawn by chance, on ONNX Runtime's CUDA: as `run` does it,
all filled up to the largest, and node by node without a CUDA graph (docs/decisions/0019). Each way
is a process of its own, since an error of CUDA is the end of one, and has a minute.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from edgeinspect.bundle import read_bundle
from edgeinspect.config import Precision
from edgeinspect.parity import Golden
from edgeinspect.runtime.onnxruntime_cuda import OnnxRuntimeCudaSession

OWN, FILLED, NODE_BY_NODE = "a session a size", "filled up", "node by node"
LARGEST, LIMIT_S = 8, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--way", choices=(OWN, FILLED, NODE_BY_NODE), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way is not None:
        print(measure(options.bundle, options.way, options.calls))
        return
    for way in (OWN, FILLED, NODE_BY_NODE):
        command = [sys.executable, "-m", "benchmarks.gpu.replays", options.bundle]
        words = ["--calls", str(options.calls), "--way", way]
        try:
            done = subprocess.run(
                [*command, *words], capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
            said = (done.stdout or done.stderr or "no word").strip().splitlines()[-1]
        except subprocess.TimeoutExpired:
            said = f"not done after {LIMIT_S} s"
        print(f"{way}: {said}", flush=True)


def measure(path: Path, way: str, n_calls: int) -> str:
    """What came of the calls, in words. Raises: EngineError where ONNX Runtime fails."""
    bundle = read_bundle(path)
    golden, rng = Golden.load(bundle.golden_path), np.random.default_rng(0)
    graph, is_replayed = bundle.graph_path(Precision.FP16), way != NODE_BY_NODE
    first: dict[int, float] = {}
    times, worst = [], 0.0
    with OnnxRuntimeCudaSession(graph, golden.constants, is_replayed=is_replayed) as session:
        for _ in range(n_calls):
            n = LARGEST if way == FILLED else int(rng.integers(1, LARGEST + 1))
            places = rng.integers(0, len(golden.images), n)
            start = time.perf_counter()
            scores = session.infer(golden.images[places], np.zeros(n, np.int32), map_above=np.inf)
            times.append(1e3 * (time.perf_counter() - start))
            for place, score in zip(places.tolist(), scores.score.tolist(), strict=True):
                worst = max(worst, abs(score - first.setdefault(place, score)))
    return (
        f"{n_calls} calls, a score changes by at most {worst:.2g}, p50 {np.median(times):.2f} ms,"
        f" the slowest {max(times):.0f} ms"
    )


if __name__ == "__main__":
    main()
