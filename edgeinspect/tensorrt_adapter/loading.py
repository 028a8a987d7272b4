"""From a plan to an engine, and what the inspector says of it."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from edgeinspect.errors import EngineError
from edgeinspect.tensorrt_adapter.flavours import recent_errors, recent_reason, shared_logger

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["deserialise_engine", "engine_information"]


def engine_information(trt: ModuleType, engine: trt.ICudaEngine) -> str:
    """What the engine inspector says of all layers: JSON, whose form differs by version."""
    inspector = engine.create_engine_inspector()
    text: str = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    return text


def deserialise_engine(
    trt: ModuleType, plan: bytes, *, is_version_compatible: bool = False
) -> trt.ICudaEngine:
    """An engine from its plan, ready for contexts on the current GPU.

    Args:
        is_version_compatible: such a plan brings its own runtime, whose code then runs here.
    Raises: EngineError, in TensorRT's words, if the plan is of another version or GPU.
    """
    recent_errors(trt)
    runtime = trt.Runtime(shared_logger(trt))
    if is_version_compatible:
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(
            f"{trt.__name__} {trt.__version__} cannot load the engine:"
            f" {recent_reason(trt) or 'it does not say why'}",
            hint="run: edgeinspect build-engine BUNDLE --force, on this machine",
        )
    return engine
