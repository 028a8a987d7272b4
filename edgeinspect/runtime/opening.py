"""Which runtime, which graph, which engine: what `open_session` decides.

An engine that was never proven on this GPU (built ahead of time, or for an open target) or under
this version of TensorRT is held to the bundle's golden images before its first part, and refused
if it fails.
"""

from __future__ import annotations

import logging

from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision
from edgeinspect.constants import RuleConstants
from edgeinspect.engines import (
    BatchRange,
    Engine,
    EngineKey,
    find_engine,
    graph_sha256,
    host_system,
    record_proof,
    require_trusted,
)
from edgeinspect.errors import (
    BundleError,
    EngineError,
    MissingPackageError,
    OutputError,
    ParityError,
)
from edgeinspect.gpu import Gpu, read_gpu
from edgeinspect.parity import Golden
from edgeinspect.runtime.cuda import open_driver
from edgeinspect.runtime.onnxruntime_cuda import OnnxRuntimeCudaSession, require_cuda
from edgeinspect.runtime.onnxruntime_graph import has_cuda, load_onnxruntime
from edgeinspect.runtime.onnxruntime_session import OnnxRuntimeSession
from edgeinspect.runtime.openvino_session import OpenVinoSession, require_openvino
from edgeinspect.runtime.proof import proof_of, prove
from edgeinspect.runtime.session import ON_CPU, Session, check_name
from edgeinspect.runtime.tensorrt import TensorRtSession, open_plan
from edgeinspect.tensorrt_adapter import TensorRT, can_run, find_tensorrt, installed_flavours

__all__ = [
    "check_runtime",
    "find_engine_here",
    "open_named",
    "pick_precision",
    "pick_runtime",
]

_log = logging.getLogger(__name__)


def check_runtime(runtime: str) -> None:
    """Whether this machine has what a runtime needs, besides an engine.

    Raises: EngineError or MissingPackageError that says what it lacks.
    """
    check_name(runtime)
    if runtime == "onnxruntime":
        load_onnxruntime()
    if runtime == "onnxruntime-cuda":
        require_cuda()
    if runtime == "openvino":
        require_openvino()
    if runtime.startswith("tensorrt"):
        _require_support(find_tensorrt(runtime), _require_gpu())
        open_driver().close()


def pick_runtime(bundle: Bundle, precision: Precision | None, batch: int) -> str:
    """The runtime that "auto" means; told where a GPU stays idle for want of an engine."""
    if precision is Precision.INT8:
        return "onnxruntime"
    gpu = read_gpu()
    reasons = []
    for flavour in installed_flavours() if gpu is not None else ():
        try:
            find_engine_here(bundle, flavour.value, precision or Precision.FP16, batch)
        # No engine, no graph to have one of, or a package of TensorRT without its libraries.
        except (EngineError, BundleError, MissingPackageError) as error:
            reasons.append(str(error))
            continue
        return flavour.value
    if reasons:
        _log.warning("no engine is used: %s", reasons[0])
    return "onnxruntime-cuda" if gpu is not None and has_cuda() else "onnxruntime"


def pick_precision(bundle: Bundle, runtime: str, precision: Precision | None) -> Precision:
    """The precision that a runtime uses where none is asked for: FP16 on GPUs."""
    if precision is not None:
        return precision
    if runtime in ON_CPU:
        return Precision.FP32
    if runtime == "onnxruntime-cuda" and not bundle.has_graph(Precision.FP16):
        _log.warning("%s has no FP16 graph: FP32 is used, which takes longer", bundle.path)
        return Precision.FP32
    return Precision.FP16


def open_named(
    bundle: Bundle,
    runtime: str,
    constants: RuleConstants,
    *,
    precision: Precision | None,
    batch: int,
    threads: int | None,
) -> Session:
    """Open a session of one of `RUNTIMES` but "auto". See `open_session`."""
    precision = pick_precision(bundle, runtime, precision)
    if precision is Precision.INT8 and runtime != "onnxruntime":
        raise EngineError(
            f"{runtime} has no int8", hint="use --runtime onnxruntime, or --precision fp16"
        )
    if runtime.startswith("tensorrt"):
        return _open_engine(bundle, runtime, constants, precision, batch)
    graph = bundle.graph_path(precision)
    if runtime == "onnxruntime-cuda":
        return OnnxRuntimeCudaSession(graph, constants, precision=precision, batch=batch)
    if runtime == "openvino":
        return OpenVinoSession(graph, constants, batch=batch, threads=threads, precision=precision)
    return OnnxRuntimeSession(graph, constants, threads=threads, precision=precision)


def find_engine_here(bundle: Bundle, runtime: str, precision: Precision, batch: int) -> Engine:
    """The bundle's engine for this machine's GPU.

    Raises: EngineError that says what differs and how to build one, or that it brings code which
        nobody let (`engines.trust`); MissingPackageError;
        BundleError if the bundle has no graph of that precision.
    """
    tensorrt, gpu = find_tensorrt(runtime), _require_gpu()
    _require_support(tensorrt, gpu)
    wanted = EngineKey(
        graph_sha256=graph_sha256(bundle, precision),
        flavour=tensorrt.flavour.value,
        version=tensorrt.version,
        target=gpu.target,
        system=host_system(),
        precision=precision,
        batch=BatchRange(smallest=1, tuned=batch, largest=batch),
    )
    engine = find_engine(bundle.path, wanted, batch=batch)
    require_trusted(engine.receipt, bundle.path)
    return engine


def _open_engine(
    bundle: Bundle, runtime: str, constants: RuleConstants, precision: Precision, batch: int
) -> TensorRtSession:
    engine = find_engine_here(bundle, runtime, precision, batch)
    plan = engine.read_plan()
    gpu, tensorrt = _require_gpu(), find_tensorrt(runtime)
    if not _is_proven_on(engine, gpu, tensorrt):
        _prove_first(bundle, engine, plan, gpu, tensorrt)
    return open_plan(plan, engine.receipt, constants)


def _require_gpu() -> Gpu:
    gpu = read_gpu()
    if gpu is None:
        raise EngineError("there is no NVIDIA GPU here", hint="use --runtime onnxruntime")
    return gpu


def _require_support(tensorrt: TensorRT, gpu: Gpu) -> None:
    if not can_run(tensorrt.module, gpu.target):
        raise EngineError(
            f"{tensorrt.flavour.value} {tensorrt.version} does not run on this GPU, {gpu.name}"
            f" ({gpu.target})",
            hint="use --runtime tensorrt or --runtime onnxruntime-cuda",
        )


def _is_proven_on(engine: Engine, gpu: Gpu, tensorrt: TensorRT) -> bool:
    """A version-compatible engine is another program in each version of TensorRT."""
    proof = engine.receipt.proof
    here = (gpu.compute_capability, str(tensorrt))
    return proof is not None and (proof.compute_capability, proof.runtime) == here


def _prove_first(bundle: Bundle, engine: Engine, plan: bytes, gpu: Gpu, tensorrt: TensorRT) -> None:
    """Hold an engine that is new to this GPU or TensorRT to the golden images, and note it."""
    _log.info("checking the engine %s on %s", engine.receipt.fingerprint, gpu.name)
    golden = Golden.load(bundle.golden_path)
    with open_plan(plan, engine.receipt, golden.constants) as session:
        report = prove(session, golden, engine.receipt.key.precision)
    if not report.is_within:
        raise ParityError(
            f"the engine {engine.receipt.fingerprint} does not compute what was trained on"
            f" {gpu.name}: {'; '.join(report.problems)}",
            hint=f"run: edgeinspect build-engine {bundle.path} --force, on this machine",
        )
    try:
        record_proof(bundle.path, engine, proof_of(report, gpu, str(tensorrt)))
    except (BundleError, OutputError) as error:  # it is being calibrated, or on a read-only disk
        _log.warning("the engine passed its check, but that cannot be noted: %s", error)
