"""One step in a process of its own: a crash or a driver's error ends no other.

    python -m benchmarks.gpu.step '{"name": ..., "model": ..., "batches": [...], ...}' WORK OUT.json

Engines are built and run here without torch in the process, as on a box.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.plan import DRIVER, EXPORT, PEAK, Model
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision
from edgeinspect.errors import EdgeInspectError, EngineError
from edgeinspect.parity import FP16_BUDGET, FP32_BUDGET, Golden, compare_outputs
from edgeinspect.runtime.cuda import CudaDriver, open_driver
from edgeinspect.runtime.session import Scores, Session, infer_all, open_session
from edgeinspect.writing import write_atomically

N_WARM_UP = 5
N_TIMES = 200
LONGEST_S = 3.0  # of one series of times
PEAK_SIDE = 8192
TOY_PEAK_SIDE = 256


def main() -> None:
    what, work, out = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    start = time.perf_counter()
    try:
        result = {"status": "ok", **_run(what, work)}
    except (EdgeInspectError, ImportError, RuntimeError, NotImplementedError) as error:
        first = (str(error).splitlines() or [""])[0]
        result = {"status": "failed", "why": f"{type(error).__name__}: {first}"[:500]}
    result["seconds"] = round(time.perf_counter() - start, 2)
    write_atomically(out, json.dumps(result).encode())


def _run(what: dict[str, Any], work: Path) -> dict[str, Any]:
    name, batches = what["name"], what["batches"]
    if name == DRIVER:
        found = {provider: round_trip(provider) for provider in ("cuda-python", "pycuda")}
        if not any(one.get("is_equal") for one in found.values()):
            return {
                "status": "failed",
                "why": found["cuda-python"].get("why", "bytes differ"),
                **found,
            }
        return found
    if name == PEAK:
        return _fp16_peak(what["device"])
    model = Model(**what["model"])
    path = work / f"{model.name}.bundle"
    if name == EXPORT:
        return _export(model, path)
    bundle = read_bundle(path)
    golden = Golden.load(bundle.golden_path)
    if name.startswith(("eager", "compile")):
        return _measure_eager(name, model, golden, batches, what["device"])
    by_batch = {}
    for batch in batches:
        with _open(name, bundle, golden, batch) as session:
            by_batch[batch] = _measure_session(session, golden, batch)
    return {"by_batch": by_batch}


def _export(model: Model, path: Path) -> dict[str, Any]:
    """The model's bundle, with weights by seed; one that is there is kept."""
    if path.exists():
        return {"was_there": True}
    from benchmarks.flops import count_flops
    from edgeinspect.bench.baseline import make_generator
    from edgeinspect.export.bundling import write_bundle

    config = model.config()
    write_bundle(make_generator(config.generator), config, path)
    return {"gflop_per_image": round(count_flops(config.generator).total / 1e9, 2)}


def _open(name: str, bundle: Bundle, golden: Golden, batch: int) -> Session:
    """A session by the step's name; engines are built first, with torch nowhere near."""
    assert "torch" not in sys.modules, "engines run in processes without torch"
    constants = golden.constants
    if name == "onnxruntime-cuda-no-graph":
        from edgeinspect.runtime.onnxruntime_cuda import OnnxRuntimeCudaSession

        graph = bundle.graph_path(Precision.FP16)
        return OnnxRuntimeCudaSession(graph, constants, is_replayed=False)
    if name.startswith("tensorrt"):
        name = _build(name, bundle, batch)
    return open_session(
        bundle, runtime=name, precision=Precision.FP16, batch=batch, constants=constants
    )


def _build(name: str, bundle: Bundle, batch: int) -> str:
    """Build an engine tuned for one batch; gives the runtime's own name."""
    from edgeinspect.building import BuildRequest, build_engine
    from edgeinspect.engines import BatchRange

    runtime = name.removesuffix("-open")
    request = BuildRequest(
        runtime=runtime,
        precision=Precision.FP16,
        batch=BatchRange(smallest=batch, tuned=batch, largest=batch),
        target="open" if name.endswith("-open") else None,
    )
    build_engine(bundle.path, request)
    return runtime


def _measure_session(session: Session, golden: Golden, batch: int) -> dict[str, Any]:
    images, tile = _batch_of(golden, batch)
    found: dict[str, Any] = {"runtime": session.name, "parity": _parity(session, golden)}
    found["infer"] = _times(lambda: session.infer(images, tile, map_above=np.inf), batch)
    found["infer_with_maps"] = _times(lambda: session.infer(images, tile), batch)
    if hasattr(session, "device_ms"):
        found["device_ms"] = _summary(np.array(session.device_ms(batch, N_TIMES)), batch)
    return found


def _parity(session: Session, golden: Golden) -> dict[str, Any]:
    scores = infer_all(session, golden.images, golden.tile)
    return _compared(golden, scores, is_half=True)


def _compared(golden: Golden, scores: Scores, *, is_half: bool) -> dict[str, Any]:
    budget = FP16_BUDGET if is_half else FP32_BUDGET
    report = compare_outputs(
        golden, scores, golden.constants, budget, n_placed=golden.n_placed, names=golden.names
    )
    return {
        "score_error": report.score_error,
        "map_error": report.map_error,
        "map_correlation": report.map_correlation,
        "n_ties": report.n_ties,
        "problems": list(report.problems),
    }


def _measure_eager(
    name: str, model: Model, golden: Golden, batches: list[int], device: str
) -> dict[str, Any]:
    from benchmarks.gpu.eager import open_eager

    eager = open_eager(name, model.config(), golden, device)
    scores = eager.infer(eager.golden.images, eager.golden.tile)
    parity = _compared(eager.golden, scores, is_half="fp16" in name or "tf32" in name)
    by_batch = {}
    for batch in batches:
        given = _batch_of(golden, batch)
        times = _times(functools.partial(eager.infer, *given), batch)
        by_batch[batch] = {"parity": parity, "infer_with_maps": times}
    return {"by_batch": by_batch}


def _batch_of(golden: Golden, n: int) -> tuple[Any, Any]:
    index = np.arange(n) % len(golden.images)
    return np.ascontiguousarray(golden.images[index]), np.zeros(n, np.int32)


def _times(run: Callable[[], object], batch: int) -> dict[str, Any]:
    """Wall time of whole calls, transfers and results included."""
    for _ in range(N_WARM_UP):
        run()
    times: list[float] = []
    while len(times) < N_TIMES and sum(times) < 1e3 * LONGEST_S:
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return _summary(np.array(times), batch)


def _summary(times_ms: Any, batch: int) -> dict[str, Any]:
    p50, p90, p99 = (round(float(np.percentile(times_ms, q)), 4) for q in (50, 90, 99))
    return {
        "n": len(times_ms),
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "images_per_s": round(1e3 * batch / p50, 1),
    }


def _fp16_peak(device: str) -> dict[str, Any]:
    """The best rate of a large FP16 matrix product: what a share of the peak is a share of."""
    import torch

    side = PEAK_SIDE if device == "cuda" else TOY_PEAK_SIDE
    left = torch.randn(side, side, device=device, dtype=torch.float16)

    def run() -> None:
        left @ left
        if device == "cuda":
            torch.cuda.synchronize()

    p50 = _times(run, 1)["p50_ms"]
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    return {
        "side": side,
        "tflop_per_s": float(f"{2 * side**3 / p50 / 1e9:.3g}"),
        "device_name": name,
    }


def round_trip(provider: str) -> dict[str, Any]:
    """All that sessions ask of a driver, once: copies, in a graph if it records, and their time."""
    n_bytes = 1 << 20
    try:
        driver = open_driver(provider)
        memory, stream = driver.allocate(n_bytes), driver.open_stream()
        source, target = driver.allocate_pinned(n_bytes), driver.allocate_pinned(n_bytes)
        start, end = driver.open_event(), driver.open_event()
        source[:] = np.arange(n_bytes) % 251

        def copy() -> None:
            driver.copy_in(memory, source, stream)
            driver.copy_out(target, memory, stream)

        graph = _recorded(driver, stream, copy)
        driver.record(start, stream)
        if graph is None:
            copy()
        else:
            driver.launch(graph, stream)
        driver.record(end, stream)
        driver.synchronise(stream)
        found = {
            "is_equal": bool((source == target).all()),
            "is_recorded": graph is not None,
            "copies_ms": driver.elapsed_ms(start, end),
        }
        for event in (start, end):
            driver.close_event(event)
        if graph is not None:
            driver.close_graph(graph)
        for pinned in (source, target):
            driver.free_pinned(pinned)
        driver.close_stream(stream)
        driver.free(memory)
        driver.close()
        return found
    except EdgeInspectError as error:
        return {"why": str(error)}


def _recorded(driver: CudaDriver, stream: int, work: Callable[[], None]) -> int | None:
    """The graph of some work; None where the binding, PyCUDA, records nothing."""
    try:
        driver.begin_capture(stream)
    except EngineError:
        return None
    work()
    return driver.end_capture(stream)


if __name__ == "__main__":
    main()
