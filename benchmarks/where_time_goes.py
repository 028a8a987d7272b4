"""Where a graph's time goes on one CPU core, by part, and what settings of a session bring.

    python -m benchmarks.where_time_goes --presets tiny,edge --targets features,pixels
    python -m benchmarks.where_time_goes --rehearse          # a toy graph, seconds

Parts come from ONNX Runtime's own times of its nodes (medians over calls). What it made of several
nodes counts to the module whose output it computes, read from the graph as it was optimised.
`left` is what a call takes beside its nodes. Settings are measured in interleaved rounds against
the session as `run` opens it on one thread. A ratio is the usual time over the other's (above 1 it
is faster), its interval a paired bootstrap over rounds. Weights are random: speed does not depend
on them. Results: `benchmarks/results/where_time_goes.json` and `.md`.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import itertools
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from edgeinspect.bench.baseline import make_generator
from edgeinspect.bench.latency import median_ratio
from edgeinspect.bench.machine import read_hardware, read_versions
from edgeinspect.bench.measuring import Case, measure_rounds
from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision, PreprocessConfig, RunConfig, Target, preset
from edgeinspect.export.bundling import write_bundle
from edgeinspect.node_names import module_of
from edgeinspect.parity import Golden
from edgeinspect.runtime.session import OUTPUTS, open_session
from edgeinspect.writing import write_atomically

OUT = Path(__file__).parent / "results/where_time_goes.json"
TOY_SIZE = 128
N_PROFILED, N_WARM_UP = 25, 5
NODE_MARK = "_kernel_time"
SLOWEST = 12
IMAGE, LEFT = "image", "left"
PARTS = (  # (how a module's name begins, the part that it counts to); the first that fits
    ("generator.targets", "backbone"),
    ("generator.encoder", "encoder"),
    ("generator.fill", "fill"),
    ("generator.form.fill_embedding", "fill"),
    ("generator.form", "decoder"),
    ("generator", "head"),
    ("joined", "head"),
    ("smoothing", "head"),
    ("", "scoring"),
)
Run = Callable[[], object]


def main() -> None:
    options = _parse()
    rows = []
    for name, target in itertools.product(options.presets.split(","), options.targets.split(",")):
        config = _config(name, Target(target), is_toy=options.rehearse)
        with tempfile.TemporaryDirectory() as folder:
            bundle = write_bundle(
                make_generator(config.generator), config, Path(folder) / "b.bundle"
            )
            row = {"preset": name, "target": target, **measure(bundle, options.rounds)}
        print(_table(row), flush=True)
        rows.append(row)
    report = {
        "hardware": dataclasses.asdict(read_hardware()),
        "versions": read_versions(),
        "rounds": options.rounds,
        "is_rehearsal": options.rehearse,
        "graphs": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out, (json.dumps(report, indent=1) + "\n").encode())
    text = f"On {read_hardware()}.\n\n" + "\n\n".join(_table(row) for row in rows)
    write_atomically(options.out.with_suffix(".md"), f"{text}\n".encode())


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="tiny,edge", help="names, with commas")
    parser.add_argument("--targets", default="features,pixels", help="names, with commas")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rehearse", action="store_true", help="toy graph, three rounds")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if options.rehearse:
        options.presets, options.targets, options.rounds = "nano", "pixels", 3
    return options


def _config(name: str, target: Target, *, is_toy: bool) -> RunConfig:
    config = preset(name, target)
    if not is_toy:
        return config
    generator = dataclasses.replace(config.generator, size=TOY_SIZE)
    preprocess = PreprocessConfig(size=TOY_SIZE)
    return dataclasses.replace(config, generator=generator, preprocess=preprocess)


def measure(bundle: Bundle, n_rounds: int) -> dict[str, Any]:
    graph = bundle.graph_path(Precision.FP32)
    golden = Golden.load(bundle.golden_path)
    feeds = {
        "image": golden.images[:1],
        "tile": golden.tile[:1],
        **golden.constants.as_inputs(),
    }
    nodes, left_ms = profile(graph, feeds)
    parts: defaultdict[str, float] = defaultdict(float)
    for node in nodes:
        parts[node["part"]] += node["ms"]
    parts[LEFT] = left_ms
    call_ms = sum(parts.values())
    slowest_first = sorted(parts.items(), key=lambda part: -part[1])
    return {
        "call_ms": round(call_ms, 3),
        "parts": {part: _share(ms, call_ms) for part, ms in slowest_first},
        "slowest_nodes": sorted(nodes, key=lambda node: -node["ms"])[:SLOWEST],
        "settings": compare_settings(bundle, graph, feeds, golden, n_rounds),
    }


def _share(ms: float, call_ms: float) -> dict[str, float]:
    return {"ms": round(ms, 3), "share": round(ms / call_ms, 4)}


def profile(graph: Path, feeds: Mapping[str, Any]) -> tuple[list[dict[str, Any]], float]:
    """Every node that ran, with its part and time, and what a call takes beside them."""
    with tempfile.TemporaryDirectory() as folder:
        options = _options()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        session = _open(graph, options)
        for _ in range(N_WARM_UP + N_PROFILED):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
        optimised = onnx.load(options.optimized_model_filepath, load_external_data=False)
    parts = parts_of(onnx.load(graph, load_external_data=False), optimised)
    return _nodes(events, parts), _left_ms(events)


def _left_ms(events: Iterable[dict[str, Any]]) -> float:
    """Time of calls that none of their nodes has; events of a call come before its own."""
    left, in_nodes = [], 0.0
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(NODE_MARK):
            in_nodes += event["dur"]
        elif event["name"] == "model_run":
            left.append((event["dur"] - in_nodes) / 1e3)
            in_nodes = 0.0
    return float(np.median(left[N_WARM_UP:]))


def _nodes(
    events: Iterable[dict[str, Any]], parts: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    """ONNX Runtime gives some nodes one name; the n-th of a call is the n-th of the graph."""
    times: dict[str, list[float]] = defaultdict(list)
    kinds = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(NODE_MARK):
            name = event["name"].removesuffix(NODE_MARK)
            times[name].append(event["dur"] / 1e3)
            kinds[name] = event["args"]["op_name"]
    found = []
    for name, series in times.items():
        by_call = np.reshape(series, (N_WARM_UP + N_PROFILED, -1))[N_WARM_UP:]
        for place, ms in enumerate(np.median(by_call, axis=0)):
            part = parts[name][place]
            found.append({"node": name, "op": kinds[name], "part": part, "ms": round(float(ms), 4)})
    return found


def parts_of(graph: onnx.ModelProto, optimised: onnx.ModelProto) -> dict[str, list[str]]:
    """The part of every node of the optimised graph, by name and in its order."""
    made_in = {value: module_of(node) for node in graph.graph.node for value in node.output}
    before = _before_the_generator(graph)
    found: dict[str, list[str]] = defaultdict(list)
    for node in optimised.graph.node:
        # Where a value is new, as behind a change of layout, it counts to what was read for it.
        known = [made_in[value] for value in (*node.output, *node.input) if value in made_in]
        module = known[0] if known else ""
        made_in.update({value: module for value in node.output if value not in made_in})
        is_before = bool(before & set(node.output))
        found[node.name].append(IMAGE if is_before else part_of(module))
    return found


def part_of(module: str) -> str:
    """The part that a module counts to."""
    return next(part for start, part in PARTS if module.startswith(start))


def _before_the_generator(graph: onnx.ModelProto) -> set[str]:
    """Values outside the generator that it is computed from."""
    makers = {value: node for node in graph.graph.node for value in node.output}
    wanted = [v for node in graph.graph.node if module_of(node) for v in node.input]
    found: set[str] = set()
    while wanted:
        value = wanted.pop()
        maker = makers.get(value)
        if maker is not None and not module_of(maker) and value not in found:
            found.add(value)
            wanted += maker.input
    return found


def _options(**changes: Any) -> ort.SessionOptions:
    """As `run` opens a session, on one thread, but for the changes."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    for name, value in changes.items():
        setattr(options, name, value)
    return options


def _open(graph: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def compare_settings(
    bundle: Bundle, graph: Path, feeds: Mapping[str, Any], golden: Golden, n_rounds: int
) -> list[dict[str, Any]]:
    runs = {"as run opens it, 1 thread": _bound(_open(graph, _options()), feeds)}
    for name, options in _settings():
        runs[name] = _bound(_open(graph, options), feeds)
    plain = _open(graph, _options())
    runs["no IO binding"] = lambda: plain.run(list(OUTPUTS), feeds)
    if importlib.util.find_spec("openvino") is not None:
        runs |= {f"OpenVINO, {n} thread": _openvino(bundle, golden, n) for n in (1, 2)}
    cases = [Case(name=name, batch=1, run=run) for name, run in runs.items()]
    rounds = measure_rounds(cases, n_rounds)
    usual = rounds[0].medians_ms
    return [
        {
            "setting": one.case.name,
            "p50_ms": round(float(np.median(one.medians_ms)), 3),
            "ratio": dataclasses.asdict(median_ratio(usual, one.medians_ms)),
            "round_ms": [round(float(ms), 3) for ms in one.medians_ms],
        }
        for one in rounds
    ]


def _settings() -> list[tuple[str, ort.SessionOptions]]:
    level = ort.GraphOptimizationLevel
    found = [
        ("no graph optimisation", _options(graph_optimization_level=level.ORT_DISABLE_ALL)),
        ("basic optimisation", _options(graph_optimization_level=level.ORT_ENABLE_BASIC)),
        ("extended optimisation", _options(graph_optimization_level=level.ORT_ENABLE_EXTENDED)),
        ("no memory arena", _options(enable_cpu_mem_arena=False)),
        ("no memory pattern", _options(enable_mem_pattern=False)),
        ("2 threads", _options(intra_op_num_threads=2)),
    ]
    entries = {
        "subnormal numbers are zero": ("session.set_denormal_as_zero", "1", 1),
        "no packing of weights": ("session.disable_prepacking", "1", 1),
        "2 threads, no spinning": ("session.intra_op.allow_spinning", "0", 2),
    }
    for name, (key, value, threads) in entries.items():
        options = _options(intra_op_num_threads=threads)
        options.add_session_config_entry(key, value)
        found.append((name, options))
    return found


def _bound(session: ort.InferenceSession, feeds: Mapping[str, Any]) -> Run:
    """A call as `runtime.onnxruntime_session` makes it: constants stay bound."""
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, "cpu"))

    def run() -> object:
        binding.clear_binding_outputs()
        for name in OUTPUTS:
            binding.bind_output(name, "cpu")
        session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    return run


def _openvino(bundle: Bundle, golden: Golden, threads: int) -> Run:
    session = open_session(bundle, runtime="openvino", threads=threads, constants=golden.constants)
    return lambda: session.infer(golden.images[:1], golden.tile[:1])


def _table(row: Mapping[str, Any]) -> str:
    lines = [f"## {row['preset']}, {row['target']}: {row['call_ms']:.1f} ms a call", ""]
    lines += ["| part | ms | share |", "| --- | --- | --- |"]
    for part, found in row["parts"].items():
        lines.append(f"| {part} | {found['ms']:.2f} | {100 * found['share']:.1f} % |")
    lines += ["", "| setting | p50 ms | times as fast (95 %) |", "| --- | --- | --- |"]
    for one in row["settings"]:
        ratio = one["ratio"]
        interval = f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
        lines.append(f"| {one['setting']} | {one['p50_ms']:.2f} | {interval} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
