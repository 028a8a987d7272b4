"""What latency and memory cost against batch, image size, tiles, width, depth and merging.

    python -m benchmarks.cost_curves                    # preset tiny, form cross, one core
    python -m benchmarks.cost_curves --runtime onnxruntime-cuda
    python -m benchmarks.cost_curves --rehearse         # toy sizes, seconds

Each point is a process of its own (its peak of memory, above that of the imports), with weights by
seed; speed does not depend on them. `exponent` is the slope of log time over log value: 1 is in
proportion. Points are written after each, into `benchmarks/results/cost_curves.json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgeinspect.bench.machine import read_hardware, read_versions
from edgeinspect.writing import write_atomically

ROOT = Path(__file__).parents[1]
OUT = ROOT / "benchmarks/results/cost_curves.json"
CURVES: dict[str, tuple[int, ...]] = {
    "batch": (1, 2, 4, 8, 16, 32, 64),
    "size": (128, 256, 384, 512, 768, 1024),
    "tiles": (1, 2, 4, 8),
    "width": (64, 128, 192, 256, 384, 512),
    "depth": (1, 2, 4, 6, 8, 12),
    "merge": (0, 4, 8, 16, 24),
}
TOY_CURVES = {"batch": (1, 2), "width": (64, 128)}
N_ROUNDS = 10
LIMIT_S = 600


def main() -> None:
    options = _parse()
    if options.point is not None:
        print(json.dumps(measure(json.loads(options.point))))
        return
    report: dict[str, Any] = {
        "hardware": dataclasses.asdict(read_hardware()),
        "versions": read_versions(),
        "preset": options.preset,
        "runtime": options.runtime,
        "threads": 1,
        "is_rehearsal": options.rehearse,
        "curves": {},
    }
    for name, values in (TOY_CURVES if options.rehearse else CURVES).items():
        points: list[dict[str, Any]] = []
        for value in values:
            points.append(_in_a_process(name, value, options))
            report["curves"][name] = {"points": points, "exponent": exponent(points)}
            write_atomically(options.out, (json.dumps(report, indent=1) + "\n").encode())
            print(name, points[-1], flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--runtime", default="onnxruntime", help="or onnxruntime-cuda")
    parser.add_argument("--rehearse", action="store_true", help="toy sizes, for seconds")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--point", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_a_process(name: str, value: int, options: argparse.Namespace) -> dict[str, Any]:
    what = {
        "curve": name,
        "value": value,
        "preset": options.preset,
        "runtime": options.runtime,
        "is_toy": options.rehearse,
    }
    command = [sys.executable, "-m", "benchmarks.cost_curves", "--point", json.dumps(what)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"value": value, "why": f"not done after {LIMIT_S} s"}
    if done.returncode:
        return {"value": value, "why": (done.stderr.strip().splitlines() or ["no word"])[-1][:300]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(what: dict[str, Any]) -> dict[str, Any]:
    """One point: milliseconds a part, and peak memory above the imports and the weights' export.

    The graph is exported by a process of its own first, so that it is not in the peak.
    """
    from edgeinspect.bench.measuring import Case, measure_rounds
    from edgeinspect.bundle import read_bundle
    from edgeinspect.config import Precision
    from edgeinspect.parity import Golden
    from edgeinspect.runtime.session import open_session

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "point.bundle"
        code = f"from benchmarks.cost_curves import export; export({what!r}, {str(path)!r})"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
        bundle = read_bundle(path)
        golden = Golden.load(bundle.golden_path)
        n = what["value"] if what["curve"] in ("batch", "tiles") else 1
        batch, n_calls = (1, n) if what["curve"] == "tiles" else (n, 1)
        images = np.ascontiguousarray(golden.images[np.arange(batch) % len(golden.images)])
        tile = np.zeros(batch, np.int32)
        before = _peak_mib()
        precision = Precision.FP32 if what["runtime"] == "onnxruntime" else Precision.FP16
        with open_session(
            bundle,
            runtime=what["runtime"],
            precision=precision,
            batch=batch,
            threads=1,
            constants=golden.constants,
        ) as session:

            def run() -> None:
                for _ in range(n_calls):
                    session.infer(images, tile)

            (rounds,) = measure_rounds([Case(name="point", batch=batch, run=run)], N_ROUNDS)
        work = bundle.manifest.graph["work"][precision.value]
        return {
            "value": what["value"],
            "p50_ms": round(float(np.median(rounds.times_ms)), 3),
            "round_ms": [round(float(t), 3) for t in rounds.medians_ms],
            "peak_mib": round(_peak_mib() - before, 1),
            "gflop": round(work["flop_per_image"] * n / 1e9, 3),
        }


def export(what: dict[str, Any], path: str) -> None:
    """The preset with one thing changed, as a bundle."""
    from edgeinspect.bench.baseline import make_generator
    from edgeinspect.config import PreprocessConfig, Target, preset
    from edgeinspect.export.bundling import write_bundle

    config = preset(what["preset"], Target.PIXELS)
    value, curve = what["value"], what["curve"]
    size = value if curve == "size" else 128 if what["is_toy"] else config.generator.size
    changes: dict[str, Any] = {"size": size}
    if curve in ("width", "depth", "merge"):
        changes[curve] = value
    if what["is_toy"]:
        changes.setdefault("depth", 1)
    preprocess = PreprocessConfig(size=size)
    config = dataclasses.replace(
        config,
        generator=dataclasses.replace(config.generator, **changes),
        preprocess=preprocess,
    )
    write_bundle(make_generator(config.generator), config, Path(path))


def exponent(points: list[dict[str, Any]]) -> float | None:
    """Slope of log time over log value, where both are above 0; None for fewer than two."""
    known = [(p["value"], p["p50_ms"]) for p in points if p["value"] > 0 and "p50_ms" in p]
    if len(known) < 2:
        return None
    values, times = np.log(np.array(known)).T
    return round(float(np.polyfit(values, times, 1)[0]), 3)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
