"""How fast each preset and form is on one CPU core, as a ratio to the unoptimised model.

    python -m benchmarks.cpu_reference --presets tiny,edge --forms cross --rounds 20 \
        --precisions fp32,int8 --good PART/train/good
    python -m benchmarks.cpu_reference --presets tiny,fine --targets features --forms cross \
        --precisions fp32,int8 --good PART/train/good --out FILE   # another CPU: another file

The unoptimised model of a preset is fixed for ever (`edgeinspect.bench.baseline`). All variants of
a preset run in one process, once a round in an order drawn anew each time, so that whatever else
the machine does hits all of them alike. Weights are random: speed does not depend on them. A ratio
above 1 means faster; its interval is a paired bootstrap over the rounds.

INT8 is static, with ranges from real pictures (`--good`), of all that `calibrate --int8` may make
INT8: the products of encoder, decoder and heads. What a trained bundle keeps of them its budgets
decide.

`fill_and_scoring_share` is how much of a graph's time goes when the smooth fill and everything
after fusion are taken out of it, with pixels.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.reports import RESULTS
from edgeinspect.bench.baseline import Baseline, make_generator, with_generator
from edgeinspect.bench.latency import median_ratio
from edgeinspect.calibration.int8_parts import graph_parts
from edgeinspect.calibration.quantising import Feed, int8_graph, load_graph
from edgeinspect.config import (
    Form,
    Precision,
    PreprocessConfig,
    Prior,
    RunConfig,
    Target,
    preset,
    to_dict,
)
from edgeinspect.constants import neutral_constants
from edgeinspect.data.layout import find_good
from edgeinspect.data.loading import load_tiles
from edgeinspect.export.bundling import graph_io
from edgeinspect.export.golden import golden_images, make_golden
from edgeinspect.export.graph import SCORE_OUTPUTS, InspectionGraph
from edgeinspect.export.onnx_graph import GraphIO, cut_part, export_graph
from edgeinspect.scoring import RuleInputs
from edgeinspect.writing import write_atomically

N_WARM_UP = 2
N_RANGES = 8  # good pictures that give ranges
SEED = 0
PACKAGES = ("edgeinspect", "torch", "onnxruntime", "onnx", "onnxscript", "onnxsim", "timm", "numpy")

Run = Callable[[], object]
Times = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that is timed; `bare` is its twin without fill and scoring."""

    variant: str
    config: RunConfig
    run: Run
    bare: Run | None = None


class BareGraph(nn.Module):
    """An inspection graph that ends with the fused reconstructions."""

    def __init__(self, whole: InspectionGraph) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, image: Tensor) -> Tensor:
        images = (image.float() / 255).permute(0, 3, 1, 2)
        return self.whole.pixels(images, self.whole.generator.decode(images))[:, :, :3]


def main() -> None:
    options = _parse()
    torch.set_num_threads(1)
    load_before = os.getloadavg()
    cases: list[dict[str, Any]] = []
    forms = [Form(form) for form in options.forms.split(",")]
    precisions = [Precision(precision) for precision in options.precisions.split(",")]
    good = find_good(options.good) if options.good else []
    for name, target in itertools.product(options.presets.split(","), options.targets.split(",")):
        with prepared(preset(name, Target(target)), forms, precisions, good) as found:
            rows = measure(found, options.rounds)
        rows = [{"preset": name, "target": target, **row} for row in rows]
        for row in rows:
            print(target, _line(row), flush=True)
        cases += rows
    report = {
        "hardware": {**describe_cpu(), "load_before": load_before, "load_after": os.getloadavg()},
        "versions": {p: metadata.version(p) for p in PACKAGES}
        | {"python": platform.python_version()},
        "rounds": options.rounds,
        "threads": 1,
        "cases": cases,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out, (json.dumps(report, indent=1) + "\n").encode())


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="nano,tiny,edge,paper", help="names, with commas")
    parser.add_argument("--targets", default="pixels,features", help="names, with commas")
    parser.add_argument("--forms", default="all,visible,cross", help="names, with commas")
    parser.add_argument("--precisions", default="fp32", help="fp32 or fp32,int8")
    parser.add_argument("--good", type=Path, help="good pictures, for the ranges of int8")
    parser.add_argument("--rounds", type=int, default=20, help="times each variant runs")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu_reference.json")
    options = parser.parse_args()
    if "int8" in options.precisions and options.good is None:
        parser.error("int8 takes its ranges from good pictures: give --good FOLDER")
    return options


@contextmanager
def prepared(
    config: RunConfig, forms: Sequence[Form], precisions: Sequence[Precision], good: Sequence[Path]
) -> Iterator[list[Case]]:
    """All cases of a preset, the baseline first."""
    with tempfile.TemporaryDirectory() as folder:
        cases = [baseline(config)]
        for form in forms:
            of_form = with_generator(config, form=form)
            cases += cases_of_form(of_form, Path(folder))
            if Precision.INT8 in precisions:
                cases.append(int8_case(of_form, Path(folder), good))
        yield cases


def baseline(config: RunConfig) -> Case:
    """The unoptimised model: see `edgeinspect.bench.baseline`."""
    model = Baseline(config)
    images, _ = golden_images([], model.config.preprocess)
    image, tile = images[:1], np.zeros(1, np.int32)
    return Case(
        variant="eager-six-passes", config=model.config, run=lambda: model.infer(image, tile)
    )


def cases_of_form(config: RunConfig, folder: Path) -> list[Case]:
    """Eager in one batch, and ONNX Runtime with its twin without fill and scoring."""
    graph = InspectionGraph(make_generator(config.generator), config).eval()
    image, tile, constants = _inputs(config)

    def eager() -> object:
        with torch.inference_mode():
            return graph(image, tile, *constants)[: len(SCORE_OUTPUTS)]

    onnx = open_whole(graph, config, _graph_path(config, folder))
    feeds = {"image": image.numpy(), "tile": tile.numpy()}
    feeds |= neutral_constants(config).as_inputs()
    bare = None
    if config.generator.target is Target.PIXELS:
        bare = _export_bare(config, folder / f"{config.generator.form.value}_bare.onnx")
    return [
        Case(variant="eager-batch", config=config, run=eager),
        Case(
            variant="onnxruntime-fp32",
            config=config,
            run=lambda: onnx.run(None, feeds),
            bare=bare and partial(bare.run, None, {"image": feeds["image"]}),
        ),
    ]


def int8_case(config: RunConfig, folder: Path, good: Sequence[Path]) -> Case:
    """All products of the network's modules in INT8, beside the FP32 graph in `folder`."""
    path = _graph_path(config, folder)
    nodes = [node for part in graph_parts(load_graph(path)) for node in part.nodes]
    tile, constants = np.zeros(1, np.int32), neutral_constants(config).as_inputs()
    feeds: list[Feed] = [
        {"image": image[None], "tile": tile, **constants}
        for image in _range_images(good, config.preprocess)
    ]
    made = path.with_name(f"{path.stem}_int8.onnx")
    made.write_bytes(int8_graph(path, nodes, feeds))
    session = _session(made)
    return Case(variant="onnxruntime-int8", config=config, run=partial(session.run, None, feeds[0]))


def _range_images(good: Sequence[Path], preprocess: PreprocessConfig) -> list[NDArray[np.uint8]]:
    """The middle tile of pictures that are spread over all."""
    picked = good[:: max(1, len(good) // N_RANGES)][:N_RANGES]
    tiles = [load_tiles(path, preprocess).tiles for path in picked]
    return [found[len(found) // 2] for found in tiles]


def _graph_path(config: RunConfig, folder: Path) -> Path:
    return folder / f"{config.generator.form.value}.onnx"


def _inputs(config: RunConfig) -> tuple[Tensor, Tensor, RuleInputs]:
    images, _ = golden_images([], config.preprocess)
    constants = RuleInputs.from_constants(neutral_constants(config))
    return torch.from_numpy(images[:1]), torch.zeros(1, dtype=torch.int32), constants


def open_whole(graph: InspectionGraph, config: RunConfig, path: Path) -> Any:
    images, names = golden_images([], config.preprocess)
    golden, _ = make_golden(graph, images, names, config)
    io = graph_io(golden)
    return _open(graph, io, path, outputs=SCORE_OUTPUTS)


def _export_bare(config: RunConfig, path: Path) -> Any:
    plain = with_generator(config, prior=Prior.NONE)
    graph = BareGraph(InspectionGraph(make_generator(plain.generator), plain)).eval()
    image = torch.from_numpy(golden_images([], config.preprocess)[0][:2])
    io = GraphIO(inputs={"image": image}, outputs=("recons",), axes={"image": {0: "batch"}})
    return _open(graph, io, path, outputs=("recons",))


def _open(module: nn.Module, io: GraphIO, path: Path, *, outputs: Sequence[str]) -> Any:
    """An ONNX Runtime session on one core."""
    model = export_graph(module, io)
    part = cut_part(model, path.name, inputs=list(io.inputs), outputs=outputs, axes=io.axes)
    path.write_bytes(part.SerializeToString())
    return _session(path)


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measure(cases: Sequence[Case], n_rounds: int) -> list[dict[str, Any]]:
    """Time all cases, interleaved; the first is the baseline."""
    runs = [case.run for case in cases] + [case.bare for case in cases if case.bare]
    times = np.empty((len(runs), n_rounds))
    rng = np.random.default_rng(SEED)
    for i in range(-N_WARM_UP, n_rounds):
        for k in rng.permutation(len(runs)):
            start = time.perf_counter()
            runs[k]()
            times[k, max(i, 0)] = (time.perf_counter() - start) * 1e3
    bare = iter(times[len(cases) :])
    return [
        _row(case, times[k], times[0], next(bare) if case.bare else None)
        for k, case in enumerate(cases)
    ]


def _row(case: Case, times: Times, base: Times, bare: Times | None) -> dict[str, Any]:
    ratio = median_ratio(base, times)
    row = {
        "form": case.config.generator.form.value,
        "variant": case.variant,
        "settings": _changes(case.config),
        "batch": 1,
        "p50_ms": round(float(np.percentile(times, 50)), 3),
        "p95_ms": round(float(np.percentile(times, 95)), 3),
        "ratio_to_baseline": round(ratio.value, 3),
        "ratio_ci95": [round(ratio.low, 3), round(ratio.high, 3)],
    }
    if bare is not None:
        left = median_ratio(bare, times)
        row["fill_and_scoring_share"] = round(1 - left.value, 3)
        row["fill_and_scoring_share_ci95"] = [round(1 - left.high, 3), round(1 - left.low, 3)]
    return row | {"times_ms": [round(float(t), 3) for t in times]}


def _changes(config: RunConfig) -> dict[str, Any]:
    """What of the generator differs from its preset."""
    own = to_dict(config.generator)
    usual = to_dict(preset(config.preset, Target.PIXELS).generator)
    return {key: value for key, value in own.items() if value != usual[key]}


def describe_cpu() -> dict[str, Any]:
    """The CPU, and what it can do at most."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in pairs}
    flags = set(fields.get("flags", "").split())
    return {
        "cpu": fields.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "flags": sorted(flags & {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "fma"}),
        "system": platform.platform(),
        "matmul_gflop_per_s": _roof(),
    }


def _roof(n: int = 1024, n_times: int = 10) -> float:
    """The best rate of a large FP32 matrix product on one core."""
    a = torch.rand(n, n)
    best = float("inf")
    for _ in range(n_times):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return round(2 * n**3 / best / 1e9, 1)


def _line(row: dict[str, Any]) -> str:
    share = row.get("fill_and_scoring_share")
    low, high = row["ratio_ci95"]
    return (
        f"{row['preset']:<6} {row['form']:<8} {row['variant']:<18} {row['p50_ms']:9.1f} ms"
        f"  {row['ratio_to_baseline']:5.2f} [{low:.2f}, {high:.2f}]"
        + ("" if share is None else f"  fill and scoring {100 * share:.1f} %")
    )


if __name__ == "__main__":
    main()
