"""What INT8 brings on this CPU, static and dynamic, by what is quantised.

    python -m benchmarks.int8 [--presets tiny edge] [--targets features pixels] [--seconds 60]

One thread, batch 1, ONNX Runtime, interleaved: a round calls every graph, in an order drawn anew.
Weights are random: this is speed alone. What a trained bundle keeps is decided by
`edgeinspect calibrate --int8`, which holds every part to the budgets. `--rehearse` does all of it
on a model of 64 px, in seconds, and writes nothing.

Rows: `tokens` are the products of encoder, decoder and heads; `embeddings` the convolutions that
make tokens; `backbone` those of the frozen backbone. `dynamic` takes a range from each call: a
score then depends on the rest of its batch, so it is here to be compared only.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.cpu_reference import describe_cpu
from edgeinspect.bench.baseline import make_generator
from edgeinspect.bench.latency import Latency, median_ratio
from edgeinspect.bench.measuring import Case, measure_rounds
from edgeinspect.calibration.int8_parts import graph_parts
from edgeinspect.calibration.quantising import int8_graph
from edgeinspect.config import GeneratorConfig, PreprocessConfig, RunConfig, Target, preset
from edgeinspect.constants import neutral_constants
from edgeinspect.export.bundling import graph_io
from edgeinspect.export.golden import golden_images, make_golden
from edgeinspect.export.graph import SCORE_OUTPUTS, InspectionGraph
from edgeinspect.export.onnx_graph import cut_part, export_graph
from edgeinspect.runtime.onnxruntime_session import OnnxRuntimeSession
from edgeinspect.writing import write_atomically

RESULTS = Path(__file__).parent / "results" / "int8.json"
ROUND_S = 0.1  # of one graph in a round, as `measure_rounds` takes it
N_RANGES = 3  # golden images that give ranges
BACKBONE = "generator.targets.backbone"
PACKAGES = ("edgeinspect", "onnxruntime", "onnx", "numpy")


def main() -> None:
    options = _parse()
    if options.rehearse:
        report = measure(small(), 1.0)
        print(json.dumps(report, indent=1))
        return
    rows = []
    for name in options.presets:
        for target in options.targets:
            row = {"preset": name, "target": target}
            row |= measure(preset(name, Target(target)), options.seconds)
            print(json.dumps(row), flush=True)
            rows.append(row)
    versions = {name: metadata.version(name) for name in PACKAGES}
    report = {"hardware": describe_cpu(), "versions": versions, "threads": 1, "rows": rows}
    write_atomically(options.out, (json.dumps(report, indent=1) + "\n").encode())


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["tiny", "edge"])
    parser.add_argument("--targets", nargs="+", default=["features", "pixels"])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each preset and target")
    parser.add_argument("--rehearse", action="store_true", help="a toy, in seconds; no file")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def small() -> RunConfig:
    generator = GeneratorConfig(
        size=64, patch=8, mask_scales=(1, 2), width=64, depth=2, decoder_depth=1
    )
    return RunConfig(preset="nano", generator=generator, preprocess=PreprocessConfig(size=64))


def measure(config: RunConfig, seconds: float) -> dict[str, Any]:
    """Median time of the FP32 graph and of each variant, and how many times as fast it is."""
    images = golden_images([], config.preprocess)[0]
    constants, tile = neutral_constants(config), np.zeros(1, np.int32)
    with tempfile.TemporaryDirectory() as folder:
        fp32 = _export(config, Path(folder) / "fp32.onnx")
        paths = {"fp32": fp32, **_variants(fp32, images[:N_RANGES], constants.as_inputs())}
        sessions = {n: OnnxRuntimeSession(p, constants, threads=1) for n, p in paths.items()}
        cases = [
            Case(name=name, batch=1, run=partial(session.infer, images[:1], tile))
            for name, session in sessions.items()
        ]
        n_rounds = max(3, int(seconds / (ROUND_S * len(cases))))
        base, *rest = measure_rounds(cases, n_rounds)
    return {
        "fp32_ms": round(Latency.of(base.times_ms).p50_ms, 3),
        "rounds": n_rounds,
        "variants": [_row(base.medians_ms, one.case.name, one.medians_ms) for one in rest],
    }


def _row(base: np.ndarray, name: str, own: np.ndarray) -> dict[str, Any]:
    ratio = median_ratio(base, own)
    return {
        "variant": name,
        "p50_ms": round(float(np.median(own)), 3),
        "times_as_fast": round(ratio.value, 3),
        "ci95": [round(ratio.low, 3), round(ratio.high, 3)],
        "median_of_round_ratios": round(float(np.median(base / own)), 3),
    }


def _export(config: RunConfig, path: Path) -> Path:
    graph = InspectionGraph(make_generator(config.generator), config).eval()
    images, names = golden_images([], config.preprocess)
    golden, _ = make_golden(graph, images[:2], names[:2], config)
    io = graph_io(golden)
    part = cut_part(
        export_graph(graph, io),
        path.name,
        inputs=list(io.inputs),
        outputs=SCORE_OUTPUTS,
        axes=io.axes,
    )
    onnx.save_model(part, str(path))
    return path


def _variants(fp32: Path, images: np.ndarray, constants: dict[str, Any]) -> dict[str, Path]:
    """Graphs by the name of what is INT8 in them, beside the FP32 graph."""
    model = onnx.load(fp32)
    kinds = {node.name: node.op_type for node in model.graph.node}
    nodes = [name for part in graph_parts(model) for name in part.nodes]
    tokens = [name for name in nodes if kinds[name] == "MatMul"]
    backbone = [name for name in kinds if name.startswith(BACKBONE) and kinds[name] == "Conv"]
    tile = np.zeros(1, np.int32)
    feeds = [{"image": image[None], "tile": tile, **constants} for image in images]
    chosen = {"static tokens": tokens, "static tokens, embeddings": nodes}
    if backbone:
        chosen["static tokens, embeddings, backbone"] = [*nodes, *backbone]
    made = {}
    for number, (name, parts) in enumerate(chosen.items()):
        made[name] = fp32.with_name(f"static{number}.onnx")
        made[name].write_bytes(int8_graph(fp32, parts, feeds))
    made["dynamic tokens"] = _dynamic(fp32, tokens)
    return made


def _dynamic(fp32: Path, nodes: Sequence[str]) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    out = fp32.with_name("dynamic.onnx")
    quantize_dynamic(
        fp32,
        out,
        nodes_to_quantize=list(nodes),
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
    return out


if __name__ == "__main__":
    main()
