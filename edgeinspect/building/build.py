"""One command's work: reuse the engine that fits, or build, inspect, prove and install one."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edgeinspect import __version__
from edgeinspect.building.compiling import N_TILE_POSITIONS, Compiled, compile_plan
from edgeinspect.building.inspection import layers_of_engine
from edgeinspect.building.proving import OpenPlan, prove
from edgeinspect.building.request import BuildRequest, Job, plan_job
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision
from edgeinspect.engines import (
    VERSION_COMPATIBLE,
    Engine,
    Receipt,
    build_lock,
    find_engine,
    install_engine,
    list_engines,
    remember_plan,
)
from edgeinspect.errors import EngineError
from edgeinspect.gpu import Gpu, read_gpu
from edgeinspect.jetson import read_jetson
from edgeinspect.progress import OnProgress, no_progress
from edgeinspect.runtime import tensorrt
from edgeinspect.tensorrt_adapter import deserialise_engine, engine_information
from edgeinspect.writing import write_atomically

__all__ = ["Build", "build_engine"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What came of a request: the engine, and whether it was there already."""

    engine: Engine
    was_there: bool


def build_engine(
    path: Path,
    request: BuildRequest,
    *,
    on_progress: OnProgress = no_progress,
    find_gpu: Callable[[], Gpu | None] = read_gpu,
    open_plan: OpenPlan = tensorrt.open_plan,
) -> Build:
    """Give a bundle an engine, or find the one it has.

    Args:
        on_progress: told of each phase and its steps, on any thread.
        find_gpu: gives the GPU at hand, or None.
        open_plan: opens a session on a plan.
    Raises: EngineError if it cannot be built, or computes something else than what was trained:
        nothing is then installed; BundleError, MissingPackageError, OutputError.
    """
    gpu = find_gpu()
    bundle = read_bundle(path)
    job = plan_job(request, bundle, gpu)
    with build_lock(bundle.path, on_wait=_say_waiting):
        found = None if request.force else _reusable(bundle, job)
        if found is not None:
            return Build(engine=found, was_there=True)
        return Build(
            engine=_build(bundle, job, request, on_progress, open_plan),
            was_there=False,
        )


def _say_waiting() -> None:
    _log.info("waiting for another build of this bundle")


def _reusable(bundle: Bundle, job: Job) -> Engine | None:
    """The engine of this key, if it is there and whole; else why a new one is built."""
    if not list_engines(bundle.path):
        return None
    try:
        engine = find_engine(bundle.path, job.key)
        engine.read_plan()
    except EngineError as error:
        _log.info("%s", error.what)
        return None
    return engine


def _build(
    bundle: Bundle,
    job: Job,
    request: BuildRequest,
    on_progress: OnProgress,
    open_plan: OpenPlan,
) -> Engine:
    key = job.key
    _log.info("building for %s with %s %s", key.target, key.flavour, key.version)
    jetson = read_jetson()
    if jetson is not None:
        _log.info("%s, %s, workspace %d MiB", jetson, jetson.power, job.workspace_mib)
    graph = bundle.graph_path(key.precision)
    cache = _read_timing_cache(request.timing_cache)
    start = time.perf_counter()
    compiled = compile_plan(job, graph, on_progress=on_progress, timing_cache=cache)
    receipt = _receipt(bundle, job, compiled, time.perf_counter() - start)
    if job.runs_here and job.gpu is not None:
        receipt = _inspected(receipt, compiled.plan, job)
        _log.info("checking it against PyTorch's answers")
        proof = prove(bundle, compiled.plan, receipt, open_plan, job.gpu)
        receipt = dataclasses.replace(receipt, is_verified=True, proof=proof)
    if VERSION_COMPATIBLE in key.flags:
        remember_plan(receipt.plan_sha256)
    engine = install_engine(bundle, compiled.plan, receipt)
    if request.timing_cache is not None and compiled.timing_cache is not None:
        write_atomically(request.timing_cache, compiled.timing_cache)
    return engine


def _receipt(bundle: Bundle, job: Job, compiled: Compiled, seconds: float) -> Receipt:
    jetson = read_jetson()
    return Receipt(
        tool_version=__version__,
        bundle=bundle.name,
        key=job.key,
        plan_sha256=hashlib.sha256(compiled.plan).hexdigest(),
        plan_bytes=len(compiled.plan),
        is_verified=False,
        proof=None,
        n_tile_positions=N_TILE_POSITIONS,
        workspace_mib=job.workspace_mib,
        build_seconds=round(seconds, 2),
        built_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        gpu=None if job.gpu is None else job.gpu.name,
        jetson=None if jetson is None else f"{jetson}, {jetson.power}",
        device_memory_bytes=None,
        layers=compiled.layers,
    )


def _inspected(receipt: Receipt, plan: bytes, job: Job) -> Receipt:
    """With what only the GPU can tell."""
    trt = job.tensorrt.module
    engine = deserialise_engine(trt, plan, is_version_compatible=bool(job.key.flags))
    layers = layers_of_engine(engine_information(trt, engine))
    if job.key.precision is Precision.FP16 and layers.n and not layers.n_fp16:
        _log.warning("none of the engine's %d layers says that it computes in FP16", layers.n)
    return dataclasses.replace(
        receipt, layers=layers, device_memory_bytes=int(engine.device_memory_size_v2)
    )


def _read_timing_cache(path: Path | None) -> bytes | None:
    """What earlier builds learned; empty where there was none. Raises: EngineError."""
    if path is None:
        return None
    try:
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise EngineError(f"cannot read the timing cache {path}: {error.strerror}") from error
