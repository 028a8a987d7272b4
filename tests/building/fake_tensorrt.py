"""A TensorRT that needs no GPU and builds nothing, for what the real one does on other machines.

It has names of TensorRT 10.3 only (a test holds them to the listing); what it should do wrong is
set on its `Behaviour`.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from edgeinspect.tensorrt_adapter import Flavour, TensorRT

PLAN = b"the plan of a stand-in"
INFORMATION = {
    "Layers": [
        {"Name": "gemm", "Inputs": [{"Format/Datatype": "Half"}], "Outputs": []},
        {"Name": "_gemm_mha_v2_0", "Inputs": [{"Format/Datatype": "Half"}], "Outputs": []},
        {"Name": "norm", "Inputs": [{"Format/Datatype": "Float"}], "Outputs": []},
    ],
    "Bindings": ["image", "score"],
}


@dataclass
class Behaviour:
    """What the stand-in does, and what was asked of it."""

    has_gpu: bool = True
    has_typed_networks: bool = True
    parser_errors: tuple[tuple[str, str, str], ...] = ()  # (node name, operator, what)
    build_errors: tuple[str, ...] = ()
    steps: int = 3
    product_type: str = "HALF"
    accepts_timing_cache: bool = True
    information: str = json.dumps(INFORMATION)
    flags: list[Any] = field(default_factory=list)
    cleared: list[Any] = field(default_factory=list)
    workspace_bytes: int = 0
    shapes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    timing_caches: list[bytes] = field(default_factory=list)


def fake_tensorrt(behaviour: Behaviour) -> TensorRT:
    """TensorRT 10.3 as an installed flavour."""
    return TensorRT(flavour=Flavour.TENSORRT, module=_module(behaviour))


def _module(behaviour: Behaviour) -> ModuleType:
    trt = ModuleType("tensorrt")
    trt.__version__ = "10.3.0"  # type: ignore[attr-defined]
    enums = _enums()
    if not behaviour.has_typed_networks:
        enums["NetworkDefinitionCreationFlag"] = enum.IntEnum("Flag", {"EXPLICIT_BATCH": 0})
    for name, value in {**enums, **_classes(behaviour, enums)}.items():
        setattr(trt, name, value)
    return trt


def _enums() -> dict[str, Any]:
    return {
        "NetworkDefinitionCreationFlag": enum.IntEnum("Flag", {"STRONGLY_TYPED": 1}),
        "MemoryPoolType": enum.Enum("MemoryPoolType", ["WORKSPACE"]),
        "ProfilingVerbosity": enum.Enum("ProfilingVerbosity", ["DETAILED"]),
        "BuilderFlag": enum.Enum("BuilderFlag", ["TF32", "VERSION_COMPATIBLE"]),
        "LayerType": enum.Enum("LayerType", ["CONSTANT", "SHAPE", "MATRIX_MULTIPLY"]),
        "DataType": enum.Enum("DataType", ["HALF", "FLOAT"]),
        "LayerInformationFormat": enum.Enum("LayerInformationFormat", ["JSON"]),
    }


def _classes(behaviour: Behaviour, enums: dict[str, Any]) -> dict[str, Any]:
    product, half = enums["LayerType"].MATRIX_MULTIPLY, enums["DataType"][behaviour.product_type]

    class Severity(enum.Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    class ILogger:
        def log(self, severity: Any, msg: str) -> None: ...

    ILogger.Severity = Severity  # type: ignore[attr-defined]

    class IProgressMonitor: ...

    class ITensor:
        def __init__(self, name: str, shape: tuple[int, ...]) -> None:
            self.name, self.shape, self.dtype = name, shape, half

    class ILayer:
        name, type = "product", product

        def get_input(self, index: int) -> ITensor:
            return ITensor("x", (1,))

        def get_output(self, index: int) -> ITensor:
            return ITensor("y", (1,))

    class INetworkDefinition:
        def __init__(self) -> None:
            shapes = {"image": (-1, 8, 8, 3), "tile": (-1,), "map_mean": (-1, 1), "rule": (3,)}
            self.inputs = [ITensor(name, shape) for name, shape in shapes.items()]
            self.num_inputs, self.num_layers = len(self.inputs), 2

        def get_input(self, index: int) -> ITensor:
            return self.inputs[index]

        def get_layer(self, index: int) -> ILayer:
            layer = ILayer()
            layer.type = product if index else trt_constant
            return layer

    trt_constant = enums["LayerType"].CONSTANT

    class IOptimizationProfile:
        def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
            behaviour.shapes[input] = (min, opt, max)

    class ITimingCache:
        def serialize(self) -> bytes:
            return b"learned"

    class IBuilderConfig:
        progress_monitor: Any = None
        profiling_verbosity: Any = None

        def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
            behaviour.workspace_bytes = pool_size

        def clear_flag(self, flag: Any) -> None:
            behaviour.cleared.append(flag.name)

        def set_flag(self, flag: Any) -> None:
            behaviour.flags.append(flag.name)

        def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
            behaviour.timing_caches.append(serialized_timing_cache)
            return ITimingCache()

        def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
            return behaviour.accepts_timing_cache or behaviour.timing_caches[-1] == b""

        def get_timing_cache(self) -> ITimingCache:
            return ITimingCache()

        def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
            return 0

    class Builder:
        def __init__(self, logger: Any) -> None:
            self._logger = logger
            if not behaviour.has_gpu:
                logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
                raise TypeError("pybind11::init(): factory function returned nullptr")

        def create_network(self, flags: int) -> INetworkDefinition:
            assert flags == 2, "networks are strongly typed"
            return INetworkDefinition()

        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        def create_optimization_profile(self) -> IOptimizationProfile:
            return IOptimizationProfile()

        def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
            monitor = config.progress_monitor
            monitor.phase_start("Building engine", None, behaviour.steps)
            for step in range(behaviour.steps):
                if not monitor.step_complete("Building engine", step):
                    return None
            monitor.phase_finish("Building engine")
            for message in behaviour.build_errors:
                self._logger.log(Severity.ERROR, message)
            return None if behaviour.build_errors else PLAN

    class ParserError:
        def __init__(self, name: str, operator: str, what: str) -> None:
            self._texts = (name, operator, what)

        def node(self) -> int:
            return 7

        def node_name(self) -> str:
            return self._texts[0]

        def node_operator(self) -> str:
            return self._texts[1]

        def desc(self) -> str:
            return self._texts[2]

    class OnnxParser:
        def __init__(self, network: Any, logger: Any) -> None:
            self.num_errors = len(behaviour.parser_errors)

        def parse_from_file(self, model: str) -> bool:
            return not behaviour.parser_errors

        def get_error(self, index: int) -> ParserError:
            return ParserError(*behaviour.parser_errors[index])

    class EngineInspector:
        def get_engine_information(self, format: Any) -> str:
            return behaviour.information

    class ICudaEngine:
        device_memory_size_v2 = 1 << 20

        def create_engine_inspector(self) -> EngineInspector:
            return EngineInspector()

    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger: Any) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            if serialized_engine == PLAN:
                return ICudaEngine()
            self._logger.log(Severity.ERROR, "Version tag does not match")
            return None

    names = {k: v for k, v in locals().items() if isinstance(v, type)}
    return {name: kind for name, kind in names.items() if name != "Severity"}
