"""How fast and how close every runtime is on the GPU at hand, without a network.

    python -m benchmarks.gpu.measure                # on a GPU: at most ten minutes
    python -m benchmarks.gpu.measure --rehearse     # on a CPU, at toy size: what can run, runs

Weights come from a seed and graphs are exported here. Each step is a process of its own, the most
important first; results are written after each, into `benchmarks/results/gpu_<device>.json`. What
a machine does not have is recorded as failed, in the words of the product.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.gpu.plan import PEAK, Step, plan
from edgeinspect.gpu import read_gpu
from edgeinspect.writing import write_atomically

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
LEAST_S = 10.0  # a step that has less left is not begun
PACKAGES = (
    "edgeinspect",
    "torch",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "cuda-bindings",
    "pycuda",
    "numpy",
)


def main() -> None:
    options = _parse()
    device = "cpu" if options.rehearse else "cuda"
    report = _machine(is_rehearsal=options.rehearse)
    out = options.out or RESULTS / f"gpu_{_slug(report)}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        for group in plan(is_rehearsal=options.rehearse)[: options.steps]:
            run = functools.partial(_run, device=device, work=work, left_s=end - time.monotonic())
            with ThreadPoolExecutor(len(group)) as pool:
                rows = list(pool.map(run, group))
            report["steps"] += rows
            write_atomically(out, (json.dumps(report, indent=1) + "\n").encode())
            print("\n".join(line for row in rows for line in _lines(row)), flush=True)
    print(out)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="for all steps")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, at toy size")
    parser.add_argument("--steps", type=int, help="only the first so many")
    parser.add_argument("--work", type=Path, help="where bundles are kept, for the next time")
    parser.add_argument("--out", type=Path, help="the results' file")
    return parser.parse_args()


def _machine(*, is_rehearsal: bool) -> dict[str, Any]:
    gpu = read_gpu()
    if gpu is None and not is_rehearsal:
        raise SystemExit("error: there is no NVIDIA GPU here; add --rehearse")
    return {
        "is_rehearsal": is_rehearsal,
        "gpu": None if gpu is None else dataclasses.asdict(gpu),
        "system": platform.platform(),
        "n_cores": os.cpu_count(),
        "versions": {"python": platform.python_version()} | _versions(),
        "steps": [],
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _slug(report: dict[str, Any]) -> str:
    if report["is_rehearsal"]:
        return "rehearsal"
    return re.sub(r"[^a-z0-9]+", "_", report["gpu"]["name"].lower()).strip("_")


def _run(step: Step, *, device: str, work: Path, left_s: float) -> dict[str, Any]:
    """A step in its own process, for as long as there is time."""
    row: dict[str, Any] = {"step": step.name}
    if step.model is not None:
        row["model"] = step.model.name
    if left_s < LEAST_S:
        return {**row, "status": "skipped", "why": "no time was left"}
    what = {**dataclasses.asdict(step), "device": device}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [
            sys.executable,
            "-m",
            "benchmarks.gpu.step",
            json.dumps(what),
            str(work),
            str(out),
        ]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=min(left_s, step.limit_s),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return {**row, "status": "failed", "why": f"not done after {error.timeout:.0f} s"}
        if out.exists():
            said = {"said": done.stderr[-1500:]} if done.stderr.strip() else {}
            return {**row, **json.loads(out.read_bytes()), **said}
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return {**row, "status": "failed", "why": f"exit code {done.returncode}: {last}"[:500]}


def _lines(row: dict[str, Any]) -> list[str]:
    words = f"{row.get('model', ''):<18} {row['step']:<28}"
    if row["status"] != "ok":
        return [f"{words} {row['status']}: {row['why']}"]
    if "by_batch" not in row:
        extra = f"{row['tflop_per_s']} TFLOP/s" if row["step"] == PEAK else "done"
        return [f"{words} {extra} in {row['seconds']} s"]
    lines = []
    for batch, found in row["by_batch"].items():
        times = found.get("infer") or found["infer_with_maps"]
        problems = "; ".join(found["parity"]["problems"]) or "within its budget"
        rate = f"{times['p50_ms']:.3f} ms, {times['images_per_s']:.0f}/s"
        lines.append(f"{words} batch {batch:<3} {rate}; {problems}")
    return lines


if __name__ == "__main__":
    main()
