"""Builds the FP16 graph of every preset, form, target and merging with TensorRT-RTX, without a GPU.

    python -m benchmarks.build_all [--presets nano tiny] [--forms cross] [--targets pixels]

Weights are random: neither operators nor sizes depend on them. Results are written after each
graph into `benchmarks/results/build_all.json`; those that are there are not made again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import tempfile
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from edgeinspect.config import Form, RunConfig, Target, preset
from edgeinspect.errors import ConfigError
from edgeinspect.export.bundling import graph_io
from edgeinspect.export.golden import golden_images, make_golden
from edgeinspect.export.graph import SCORE_OUTPUTS, InspectionGraph
from edgeinspect.export.half import half_graph
from edgeinspect.export.onnx_graph import cut_part, export_graph, save_graphs
from edgeinspect.export.operators import check_operators
from edgeinspect.export.precision import describe_precision
from edgeinspect.export.ranges import largest_magnitudes
from edgeinspect.model.generator import Generator
from tests.rtx import build

RESULTS = Path(__file__).parent / "results" / "build_all.json"
TARGETS: dict[str, tuple[str, ...]] = {"sm75": ("SM75",), "sm86": ("SM86",), "portable": ()}
MERGE = (0, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["edge", "fine", "tiny", "nano", "paper"])
    parser.add_argument("--forms", nargs="+", default=[form.value for form in Form])
    parser.add_argument("--targets", nargs="+", default=[target.value for target in Target])
    asked = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"graphs": {}}
    found["machine"] = machine()
    kinds = itertools.product(asked.targets, MERGE, asked.presets, asked.forms)
    for target, merge, name, form in kinds:
        key = f"{name} {form} {target} merge {merge}"
        if key in found["graphs"]:
            continue
        found["graphs"][key] = try_one(name, Form(form), Target(target), merge)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        print(key, found["graphs"][key], flush=True)


def try_one(name: str, form: Form, target: Target, merge: int) -> dict[str, Any]:
    config = preset(name, target)
    try:
        generator = replace(config.generator, form=form, merge=merge)
    except ConfigError as error:
        return {"refused": str(error)}
    with tempfile.TemporaryDirectory() as folder:
        return build_one(replace(config, generator=generator), Path(folder))


def build_one(config: RunConfig, folder: Path) -> dict[str, Any]:
    """Sizes in MB, times in s of this process: a busy machine does not change them much."""
    torch.manual_seed(0)
    graph = InspectionGraph(Generator(config.generator), config).eval()
    images, names = golden_images([], config.preprocess)
    golden, _ = make_golden(graph, images[:2], names[:2], config)
    io = graph_io(golden)
    started = time.process_time()
    scores = cut_part(
        export_graph(graph, io),
        "scores",
        inputs=list(io.inputs),
        outputs=SCORE_OUTPUTS,
        axes=io.axes,
    )
    exported = time.process_time()
    largest = largest_magnitudes(scores, golden)
    half = half_graph(scores, largest)
    check_operators(half, "half")
    typed = time.process_time()
    report = describe_precision(half, largest)
    save_graphs({"graph.onnx": half}, folder, weights="weights.bin")
    return {
        "nodes": len(half.graph.node),
        "gflop": round(sum(report.flops.values()) / 1e9, 3),
        "fp16_share_of_flops": round(report.half_share, 4),
        "fp32_matrix_products": len(report.float_products),
        "export_s": round(exported - started, 1),
        "type_s": round(typed - exported, 1),
        "weights_mb": round((folder / "weights.bin").stat().st_size / 1e6, 1),
        "plans": {kind: timed_build(folder / "graph.onnx", sms) for kind, sms in TARGETS.items()},
    }


def timed_build(path: Path, sms: tuple[str, ...]) -> dict[str, float]:
    started = time.process_time()
    n_bytes = build(path, sms)
    return {"s": round(time.process_time() - started, 1), "mb": round(n_bytes / 1e6, 1)}


def machine() -> dict[str, Any]:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    packages = ("tensorrt-rtx-cu13", "torch", "onnx", "onnxsim", "onnxruntime")
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "gpu": None,
        "clock": "CPU seconds of the process",
        **{name: metadata.version(name) for name in packages},
    }


if __name__ == "__main__":
    main()
