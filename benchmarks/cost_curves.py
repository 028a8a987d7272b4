"""What latency and memory cost against batch, image size, tiles, width, depth and merging.

    python -m benchmarks.cost_curves                    # tiny, form cross, one core: 15 minutes
    python -m benchmarks.cost_curves --target features  # as the preset is; sizes from 256 px on
    python -m benchmarks.cost_curves --runtime onnxruntime-cuda
    python -m benchmarks.cost_curves --rehearse         # toy sizes, a minute

Each point is a process of its own (its peak of memory, above that of the imports), with weights by
seed; speed does not depend on them. `tiles` is a part of that many, one call a tile; `merge` is r
in each encoder block. `exponent` is the slope of log time over log value, `memory_exponent` that of
the peak: 1 is in proportion. What a setting refuses is a point with the reason. Points are written
after each, into `benchmarks/results/cost_curves.json`, and as tables into `cost_curves.md`. Begun
and run again on the same box and versions, it goes on with the points that are not there yet.
"""

from __future__ import annotations

import argparse
import contextlib
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
from edgeinspect.card import markdown_table
from edgeinspect.config import Precision, RunConfig, Target, from_dict, preset, to_dict
from edgeinspect.errors import ConfigError, first_line
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
EXPORTED = "exported:"


def main() -> None:
    options = _parse()
    if options.point is not None:
        print(json.dumps(measure(json.loads(options.point))))
        return
    report = _begun(options.out, _heading(options))
    curves = TOY_CURVES if options.rehearse else CURVES
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(_Bundles(Path(folder), options)) as bundles,
    ):
        for name in options.curves or curves:
            curve = report["curves"].setdefault(name, {"points": []})
            for value in curves[name]:
                if any(p["value"] == value for p in curve["points"]):
                    continue
                point = {"value": value, **_point(name, value, bundles, options)}
                print(name, point, flush=True)
                curve["points"] = sorted([*curve["points"], point], key=lambda p: p["value"])
                curve["exponent"] = exponent(curve["points"], "p50_ms")
                curve["memory_exponent"] = exponent(curve["points"], "peak_mib")
                _write(report, options.out)


def _heading(options: argparse.Namespace) -> dict[str, Any]:
    """What all points of a report share."""
    return {
        "hardware": dataclasses.asdict(read_hardware()),
        "versions": read_versions(),
        "preset": options.preset,
        "target": options.target,
        "runtime": options.runtime,
        "threads": 1,
        "is_rehearsal": options.rehearse,
    }


def _begun(path: Path, heading: dict[str, Any]) -> dict[str, Any]:
    """An earlier report with the same heading, without the points that failed; else a new one."""
    found = json.loads(path.read_text()) if path.exists() else {}
    if {key: found.get(key) for key in heading} != json.loads(json.dumps(heading)):
        return {**heading, "curves": {}}
    for curve in found["curves"].values():
        curve["points"] = [point for point in curve["points"] if "why" not in point]
    return dict(found)


def _write(report: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(path.with_suffix(".md"), render_markdown(report).encode())


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--target", default="pixels", help="or features, both")
    parser.add_argument("--runtime", default="onnxruntime", help="or onnxruntime-cuda")
    parser.add_argument("--curves", nargs="*", choices=list(CURVES), help="of these alone")
    parser.add_argument("--rehearse", action="store_true", help="toy sizes, for a minute")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--point", help=argparse.SUPPRESS)
    return parser.parse_args()


class _Bundles:
    """The preset with one thing changed, exported once for all points that share it.

    One process exports all: starting torch takes longer than exporting.
    """

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder, self._options = folder, options
        self._made: dict[str, Path] = {}
        code = "from benchmarks.cost_curves import export_all; export_all()"
        self._exporter = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def find(self, curve: str, value: int) -> Path:
        """Raises: ConfigError for settings there are not; _ProcessError."""
        config = self._config(curve, value)
        key = repr(config)
        if key not in self._made:
            path = self._folder / f"{len(self._made)}.bundle"
            config_file = path.with_suffix(".json")
            config_file.write_text(json.dumps(to_dict(config)))
            self._export(config_file)
            self._made[key] = path
        return self._made[key]

    def _export(self, config_file: Path) -> None:
        stdin, stdout = self._exporter.stdin, self._exporter.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(config_file, file=stdin, flush=True)
        answers = (line.strip() for line in stdout if line.startswith(EXPORTED))
        words = next(answers, f"{EXPORTED} nothing: its process ended").removeprefix(EXPORTED)
        if words.strip():
            raise _ProcessError(words.strip())

    def close(self) -> None:
        self._exporter.kill()
        self._exporter.communicate()

    def _config(self, curve: str, value: int) -> RunConfig:
        config = preset(self._options.preset, Target(self._options.target))
        changes: dict[str, Any] = {"size": 128, "depth": 1} if self._options.rehearse else {}
        if curve in ("size", "width", "depth", "merge"):
            changes[curve] = value
        generator = dataclasses.replace(config.generator, **changes)
        preprocess = dataclasses.replace(config.preprocess, size=generator.size)
        return dataclasses.replace(config, generator=generator, preprocess=preprocess)


def export_all() -> None:
    """For each file of settings that stdin names a bundle beside it, with weights by seed."""
    from edgeinspect.bench.baseline import make_generator
    from edgeinspect.export.bundling import write_bundle

    for line in sys.stdin:
        path, why = Path(line.strip()), ""
        try:
            config = from_dict(RunConfig, json.loads(path.read_text()))
            write_bundle(make_generator(config.generator), config, path.with_suffix(".bundle"))
        except Exception as error:  # the point says why it is missing
            why = first_line(error)[:300]
        print(EXPORTED, why, flush=True)


class _ProcessError(Exception):
    """A process that failed, by its last word."""


def _run(arguments: list[str]) -> str:
    """What a process of this Python prints. Raises: _ProcessError."""
    command = [sys.executable, *arguments]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _ProcessError(f"not done after {LIMIT_S} s") from error
    if done.returncode:
        raise _ProcessError((done.stderr.strip().splitlines() or ["no word"])[-1][:300])
    return done.stdout


def _point(
    curve: str, value: int, bundles: _Bundles, options: argparse.Namespace
) -> dict[str, Any]:
    try:
        what = {
            "bundle": str(bundles.find(curve, value)),
            "runtime": options.runtime,
            "batch": value if curve == "batch" else 1,
            "n_calls": value if curve == "tiles" else 1,
        }
        answer = _run(["-m", "benchmarks.cost_curves", "--point", json.dumps(what)])
    except (_ProcessError, ConfigError) as error:
        return {"why": str(error)}
    found: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return found


def measure(what: dict[str, Any]) -> dict[str, Any]:
    """One point: milliseconds a part, and peak memory above that of imports and manifest."""
    from edgeinspect.bench.measuring import Case, measure_rounds
    from edgeinspect.bundle import read_bundle
    from edgeinspect.parity import Golden
    from edgeinspect.runtime.session import open_session

    bundle = read_bundle(Path(what["bundle"]))
    golden = Golden.load(bundle.golden_path)
    batch, n_calls = what["batch"], what["n_calls"]
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
        "p50_ms": round(float(np.median(rounds.times_ms)), 3),
        "round_ms": [round(float(t), 3) for t in rounds.medians_ms],
        "peak_mib": round(_peak_mib() - before, 1),
        "gflop": round(work["flop_per_image"] * batch * n_calls / 1e9, 3),
    }


def exponent(points: list[dict[str, Any]], key: str) -> float | None:
    """Slope of log cost over log value, where both are above 0; None for fewer than two."""
    known = [(p["value"], p[key]) for p in points if p["value"] > 0 and p.get(key, 0) > 0]
    if len(known) < 2:
        return None
    values, costs = np.log(np.array(known)).T
    return round(float(np.polyfit(values, costs, 1)[0]), 3)


def render_markdown(report: dict[str, Any]) -> str:
    """A table a curve."""
    parts = [
        "# What latency and memory cost\n\n",
        f"Preset `{report['preset']}`, target {report['target']}, form cross, {report['runtime']},"
        f" one thread, {report['hardware']['cpu']}; one thing changed at a time. An exponent of 1"
        " is in proportion.\n",
    ]
    for name, curve in report["curves"].items():
        lines = [_line(point) for point in curve["points"]]
        parts += [f"\n## {name}\n\n", markdown_table((name, "ms", "GFLOP", "peak MiB"), lines)]
        time, memory = (_word(curve[key]) for key in ("exponent", "memory_exponent"))
        parts.append(f"\nExponent of time {time}, of memory {memory}.\n")
    return "".join(parts)


def _line(point: dict[str, Any]) -> tuple[str, ...]:
    if "why" in point:
        return str(point["value"]), point["why"], "-", "-"
    return tuple(f"{point[key]:g}" for key in ("value", "p50_ms", "gflop", "peak_mib"))


def _word(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
