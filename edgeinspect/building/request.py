"""What kind of engine is asked for, and what that means on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision
from edgeinspect.engines import (
    OPEN_TARGET,
    VERSION_COMPATIBLE,
    BatchRange,
    EngineKey,
    graph_sha256,
    host_system,
)
from edgeinspect.errors import EngineError
from edgeinspect.gpu import Gpu
from edgeinspect.jetson import free_memory_bytes
from edgeinspect.tensorrt_adapter import (
    Flavour,
    TensorRT,
    can_run,
    find_tensorrt,
    installed_flavours,
    known_targets,
)

__all__ = ["DEFAULT_BATCH", "BuildRequest", "Job", "default_workspace_mib", "plan_job"]

DEFAULT_BATCH = BatchRange(smallest=1, tuned=1, largest=8)
MIB = 1 << 20
WORKSPACE_MIB = 4096  # of a card with memory of its own, at most half of it
SHARED_WORKSPACE_MIB = 1024  # where the GPU takes from the CPU's memory, at most a quarter
LEAST_WORKSPACE_MIB = 256
_NO_FP32_PRODUCTS = "sm75"  # Turing has no matrix products in FP32 in TensorRT-RTX


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What `edgeinspect build-engine` was asked for.

    Attributes:
        runtime: "auto", or a flavour's name.
        workspace_mib: None chooses by the GPU's memory.
        target: such as "sm86", or `OPEN_TARGET`; None means the GPU at hand.
        timing_cache: a file that makes the next build faster; written if it is not there.
        force: build even where an engine fits.
    """

    runtime: str = "auto"
    precision: Precision = Precision.FP16
    batch: BatchRange = DEFAULT_BATCH
    workspace_mib: int | None = None
    target: str | None = None
    timing_cache: Path | None = None
    is_version_compatible: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request made definite: the engine's key, and what builds it.

    Attributes:
        gpu: the one at hand, None where there is none.
        runs_here: whether the engine is for that GPU, so that it can be proven at once.
    """

    key: EngineKey
    tensorrt: TensorRT
    gpu: Gpu | None
    workspace_mib: int
    runs_here: bool


def plan_job(request: BuildRequest, bundle: Bundle, gpu: Gpu | None) -> Job:
    """What a request means for a bundle on a machine with this GPU.

    Raises: EngineError if nothing here can build that, or no GPU could run it;
        MissingPackageError; BundleError if the bundle has no graph of that precision.
    """
    if request.precision is Precision.INT8:
        raise EngineError(
            "there are no engines in int8: only ONNX Runtime's CPU runs it",
            hint=f"leave out --precision, or run: edgeinspect calibrate {bundle.path} GOOD_DIR"
            " --int8",
        )
    tensorrt = find_tensorrt(_pick_runtime(request, gpu))
    target = _target(request, tensorrt, gpu)
    _check_combination(request, tensorrt, target)
    flags = (VERSION_COMPATIBLE,) if request.is_version_compatible else ()
    key = EngineKey(
        graph_sha256=graph_sha256(bundle, request.precision),
        flavour=tensorrt.flavour.value,
        version=tensorrt.version,
        target=target,
        system=host_system(),
        precision=request.precision,
        batch=request.batch,
        flags=flags,
    )
    return Job(
        key=key,
        tensorrt=tensorrt,
        gpu=gpu,
        workspace_mib=request.workspace_mib or default_workspace_mib(gpu),
        runs_here=gpu is not None
        and target in (gpu.target, OPEN_TARGET)
        and can_run(tensorrt.module, gpu.target),
    )


def default_workspace_mib(gpu: Gpu | None, root: Path = Path("/")) -> int:
    """Scratch memory for a layer: little where the GPU's memory is the CPU's as well."""
    if gpu is None:
        return SHARED_WORKSPACE_MIB
    if not gpu.is_integrated:
        return max(LEAST_WORKSPACE_MIB, min(WORKSPACE_MIB, gpu.memory_bytes // 2 // MIB))
    free = free_memory_bytes(root) or gpu.memory_bytes
    return max(LEAST_WORKSPACE_MIB, min(SHARED_WORKSPACE_MIB, free // 4 // MIB))


def _pick_runtime(request: BuildRequest, gpu: Gpu | None) -> str:
    """`auto`: TensorRT for the GPU at hand, TensorRT-RTX for others, where both are installed."""
    if request.runtime != "auto":
        return request.runtime
    is_for_here = gpu is not None and request.target in (None, gpu.target)
    if not is_for_here and Flavour.RTX in installed_flavours():
        return Flavour.RTX.value
    return "auto"


def _target(request: BuildRequest, tensorrt: TensorRT, gpu: Gpu | None) -> str:
    known = known_targets(tensorrt.module)
    name = f"{tensorrt.flavour.value} {tensorrt.version}"
    if known is None:
        return _own_target(request, name, gpu)
    if request.target is None and gpu is None:
        raise EngineError(
            "there is no GPU here, and no --target",
            hint=f"add --target {known[0]} or another of {', '.join((*known, OPEN_TARGET))}",
        )
    if request.target is None and gpu is not None and gpu.target not in known:
        is_newer = can_run(tensorrt.module, gpu.target)
        raise EngineError(
            f"{name} has no target for this GPU, {gpu.name} ({gpu.target})",
            hint=f"use --target {OPEN_TARGET}"
            if is_newer
            else "use --runtime tensorrt, or judge with --runtime onnxruntime-cuda",
        )
    target = request.target or (gpu.target if gpu is not None else "")
    if target not in (*known, OPEN_TARGET):
        raise EngineError(
            f"{name} does not build for {target}",
            hint=f"use --target {', '.join((*known, OPEN_TARGET))}",
        )
    return target


def _own_target(request: BuildRequest, name: str, gpu: Gpu | None) -> str:
    """TensorRT proper builds on the GPU that it builds for."""
    if gpu is None:
        raise EngineError(
            f"there is no GPU here, and {name} builds on the GPU that it builds for",
            hint="build on the box itself, or for an RTX card: --runtime tensorrt-rtx"
            " --target sm86",
        )
    if request.target not in (None, gpu.target):
        raise EngineError(
            f"{name} builds for the GPU here, {gpu.target}, not for {request.target}",
            hint="build on the box itself, or for an RTX card: --runtime tensorrt-rtx",
        )
    return gpu.target


def _check_combination(request: BuildRequest, tensorrt: TensorRT, target: str) -> None:
    is_rtx = tensorrt.flavour is Flavour.RTX
    if is_rtx and request.precision is Precision.FP32 and target == _NO_FP32_PRODUCTS:
        raise EngineError(
            f"{tensorrt.flavour.value} has no matrix products in FP32 for {target}",
            hint="leave out --precision fp32",
        )
    if is_rtx and request.is_version_compatible:
        raise EngineError(
            f"{tensorrt.flavour.value} builds no version-compatible engines",
            hint="leave out --version-compatible",
        )
    if is_rtx and request.timing_cache is not None:
        raise EngineError(
            f"{tensorrt.flavour.value} times nothing while it builds",
            hint="leave out --timing-cache",
        )
