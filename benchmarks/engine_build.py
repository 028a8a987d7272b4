"""What it costs to watch a build: CPU time with and without a progress monitor, interleaved.

    python benchmarks/engine_build.py BUNDLE --target sm86 --precision fp16 --runs 7

TensorRT-RTX, so that no GPU is needed; the bundle is only read.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

from edgeinspect.building.compiling import N_TILE_POSITIONS
from edgeinspect.bundle import read_bundle
from edgeinspect.config import Precision
from edgeinspect.doctor import read_machine
from edgeinspect.tensorrt_adapter import (
    BuilderOptions,
    TensorRT,
    add_profile,
    build_plan,
    configure,
    create_builder,
    create_network,
    find_tensorrt,
    parse_graph,
    progress_monitor,
)

LENGTHS = {"image": (1, 1, 8), "tile": (1, 1, 8)}
LENGTHS |= dict.fromkeys(("map_mean", "map_inv_std"), (1, 1, N_TILE_POSITIONS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--target", default="sm86")
    parser.add_argument("--precision", type=Precision, default=Precision.FP16)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "engine_build.json"
    )
    options = parser.parse_args()
    tensorrt = find_tensorrt("tensorrt-rtx")
    graph = read_bundle(options.bundle).graph_path(options.precision)
    seconds: dict[str, list[float]] = {"watched": [], "unwatched": []}
    n_calls = 0
    for _ in range(options.runs):
        for name, times in seconds.items():
            took, n = build_once(tensorrt, graph, options.target, is_watched=name == "watched")
            times.append(round(took, 3))
            n_calls = max(n, n_calls)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    result = {
        "machine": read_machine().cpu,
        "python": platform.python_version(),
        "tensorrt_rtx": tensorrt.version,
        "graph": f"{graph.stat().st_size} bytes, {options.precision.value}, {options.target}",
        "n_calls_of_the_monitor": n_calls,
        "cpu_seconds": seconds,
        "median_cpu_seconds": medians,
        "watched_over_unwatched": round(medians["watched"] / medians["unwatched"], 3),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def build_once(
    tensorrt: TensorRT, graph: Path, target: str, *, is_watched: bool
) -> tuple[float, int]:
    """CPU seconds of one build without parsing, and how often the monitor was called."""
    trt = tensorrt.module
    builder = create_builder(trt)
    network = create_network(trt, builder)
    parser = parse_graph(trt, network, graph)
    config = configure(trt, builder, BuilderOptions(target=target, workspace_mib=1024))
    add_profile(builder, network, config, LENGTHS)
    calls: list[str] = []
    if is_watched:
        monitor = progress_monitor(trt, lambda name, _, __: calls.append(name), lambda: False)
        config.progress_monitor = monitor
    start = time.process_time()
    plan = build_plan(builder, network, config)
    took = time.process_time() - start
    assert plan is not None
    del parser
    return took, len(calls)


if __name__ == "__main__":
    main()
