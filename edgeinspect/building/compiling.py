"""The plan: a graph parsed and built by TensorRT, on a thread of its own.

TensorRT's builder lets go of Python while it works, so the caller's thread stays free to show
progress and to hear Ctrl-C; the builder is then asked to stop at its next step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgeinspect.building.inspection import layers_of_network
from edgeinspect.building.request import Job
from edgeinspect.config import Precision
from edgeinspect.engines import OPEN_TARGET, BatchRange, Layers
from edgeinspect.errors import EngineError
from edgeinspect.interruption import Interruption
from edgeinspect.progress import OnProgress
from edgeinspect.runtime.session import BATCHED
from edgeinspect.tensorrt_adapter import (
    BuilderOptions,
    add_profile,
    build_plan,
    configure,
    create_builder,
    create_network,
    known_targets,
    matrix_types,
    output_types,
    parse_graph,
    progress_monitor,
    recent_errors,
    timing_cache_of,
)

__all__ = ["N_TILE_POSITIONS", "Compiled", "compile_plan"]

N_TILE_POSITIONS = 64  # T of map_mean: inputs, so that more cost nothing
POLL_S = 0.1
_BY_TILE = ("map_mean", "map_inv_std")
_OUT_OF_MEMORY = ("out of memory", "outofmemory", "could not be allocated", "bad_alloc")
_TOO_LITTLE_WORKSPACE = ("insufficient workspace", "could not find any implementation")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A plan, the layers of the network that it was built from, and what the build learned."""

    plan: bytes
    layers: Layers
    timing_cache: bytes | None


def compile_plan(
    job: Job, graph: Path, *, on_progress: OnProgress, timing_cache: bytes | None = None
) -> Compiled:
    """Parse a graph and build it; seconds on a desktop, minutes on a Jetson.

    Raises: EngineError if the graph is refused, is not of the precision it claims, or cannot be
        built; KeyboardInterrupt if it was interrupted.
    """
    trt = job.tensorrt.module
    builder = create_builder(trt)
    network = create_network(trt, builder)
    on_progress("parsing", 0, 1)
    parser = parse_graph(trt, network, graph)
    _check_precision(matrix_types(trt, network), graph, job.key.precision)
    is_aimed = known_targets(trt) is not None and job.key.target != OPEN_TARGET
    options = BuilderOptions(
        target=job.key.target if is_aimed else None,
        workspace_mib=job.workspace_mib,
        is_version_compatible=bool(job.key.flags),
        timing_cache=timing_cache,
    )
    config = configure(trt, builder, options)
    add_profile(builder, network, config, _lengths(job.key.batch))
    with Interruption() as interruption:
        config.progress_monitor = progress_monitor(trt, on_progress, lambda: interruption.asked)
        recent_errors(trt)
        plan = _on_a_thread(lambda: build_plan(builder, network, config))
        if interruption.asked:
            raise KeyboardInterrupt("no engine was written")
    if plan is None:
        raise _failure(job, recent_errors(trt))
    del parser  # its weights were needed up to here
    return Compiled(
        plan=plan,
        layers=layers_of_network(output_types(trt, network)),
        timing_cache=None if timing_cache is None else timing_cache_of(config),
    )


def _lengths(batch: BatchRange) -> dict[str, tuple[int, int, int]]:
    """(smallest, tuned, largest) length of each input's dynamic axis."""
    tiles = (batch.smallest, batch.tuned, batch.largest)
    return dict.fromkeys(BATCHED, tiles) | dict.fromkeys(_BY_TILE, (1, 1, N_TILE_POSITIONS))


def _check_precision(types: dict[str, str], graph: Path, precision: Precision) -> None:
    """An FP16 graph whose products are not FP16 would be an FP32 engine by another name."""
    wrong = [name for name, kind in types.items() if kind != "HALF"]
    if precision is Precision.FP16 and wrong:
        raise EngineError(
            f"{graph} claims FP16, but {len(wrong)} of its {len(types)} matrix products are not,"
            f" such as {wrong[0]}",
            hint="export the bundle again with this version",
        )


def _on_a_thread(work: Callable[[], Result]) -> Result:
    """Work done elsewhere, waited for so that signals are heard."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to the waiting thread, whatever it is
            errors.append(error)

    thread = threading.Thread(target=run, name="tensorrt-builder", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_S)
    if errors:
        raise errors[0]
    return results[0]


def _failure(job: Job, errors: tuple[str, ...]) -> EngineError:
    text = " ".join(" ".join(errors).split())
    words = text.lower()
    what = f"{job.tensorrt.flavour.value} {job.tensorrt.version} could not build the engine"
    if any(sign in words for sign in _OUT_OF_MEMORY):
        less = max(64, job.workspace_mib // 2)
        return EngineError(
            f"{what}: out of memory with a workspace of {job.workspace_mib} MiB",
            hint=f"end other programs, or try --workspace-mib {less}, or a smaller --batch",
        )
    if any(sign in words for sign in _TOO_LITTLE_WORKSPACE):
        return EngineError(
            f"{what} within a workspace of {job.workspace_mib} MiB: {text}",
            hint=f"try --workspace-mib {2 * job.workspace_mib}",
        )
    return EngineError(f"{what}: {text or 'it does not say why'}")
