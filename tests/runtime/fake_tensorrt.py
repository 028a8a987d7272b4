"""A TensorRT module whose engines compute with ONNX Runtime in a fake driver's memory."""

from __future__ import annotations

import enum
import types
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edgeinspect.runtime.session import OUTPUTS
from tests.runtime.fake_cuda import FakeDriver

DataType = enum.Enum("DataType", "FLOAT HALF INT32 INT64 UINT8")
TensorIOMode = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT")
Strategy = enum.Enum("ExecutionContextAllocationStrategy", "STATIC ON_PROFILE_CHANGE USER_MANAGED")

KINDS = {
    "tensor(uint8)": (DataType.UINT8, np.uint8),
    "tensor(int32)": (DataType.INT32, np.int32),
    "tensor(float)": (DataType.FLOAT, np.float32),
}
SCRATCH_BYTES = 1 << 20
VERSION = "10.3.0"


class FakeLogger:
    """`ILogger`, as the adapter's bridge extends it."""

    Severity = enum.Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")


class FakeEngine:
    """`ICudaEngine` of an ONNX graph, for batches of `batch` and up to `n_tiles` positions."""

    num_optimization_profiles = 1
    device_memory_size_v2 = SCRATCH_BYTES

    def __init__(
        self,
        graph: Path,
        driver: FakeDriver,
        *,
        batch: tuple[int, int] = (1, 4),
        n_tiles: int = 2,
        fault: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.driver, self.batch, self.n_tiles, self.fault = driver, batch, n_tiles, fault
        self.inputs = {i.name: i for i in self.session.get_inputs()}
        self.outputs = {o.name: o for o in self.session.get_outputs()}
        self.names = [*self.inputs, *self.outputs]
        self.contexts: list[FakeContext] = []
        self.fails_to_run = False
        self.is_capturable = True

    @property
    def num_io_tensors(self) -> int:
        return len(self.names)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_dtype(self, name: str) -> DataType:
        return KINDS[self._value(name).type][0]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(d if isinstance(d, int) else -1 for d in self._value(name).shape)

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        low, high = self.batch if name in ("image", "tile") else (1, self.n_tiles)
        rest = self.get_tensor_shape(name)[1:]
        return [(low, *rest), (high, *rest), (high, *rest)]

    def create_execution_context(self, strategy: Strategy) -> FakeContext:
        assert strategy is Strategy.USER_MANAGED
        self.contexts.append(FakeContext(self))
        return self.contexts[-1]

    def _value(self, name: str) -> Any:
        return self.inputs.get(name) or self.outputs[name]


class FakeContext:
    """`IExecutionContext`: what it is given runs in the driver's stream."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size >= SCRATCH_BYTES
        assert self.engine.driver.read(memory, size).nbytes == size
        self.addresses["scratch"] = memory

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, *_, high = self.engine.get_tensor_profile_shape(name, 0)
        self.shapes[name] = tuple(shape)
        return low[0] <= shape[0] <= high[0] or -1 not in self.engine.get_tensor_shape(name)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert name in self.engine.names
        self.addresses[name] = memory
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        return self.engine.is_capturable

    def execute_async_v3(self, stream_handle: int) -> bool:
        missing = {*self.engine.names, "scratch"} - set(self.addresses)
        assert not missing, f"no address of {missing}"
        assert set(self.shapes) == set(self.engine.inputs), "an input has no shape"
        if self.engine.fails_to_run:
            return False
        shapes = dict(self.shapes)
        self.engine.driver.give(stream_handle, lambda: self._compute(shapes))
        return True

    def _compute(self, shapes: dict[str, tuple[int, ...]]) -> None:
        driver, feeds = self.engine.driver, {}
        for name, shape in shapes.items():
            dtype = np.dtype(KINDS[self.engine.inputs[name].type][1])
            raw = driver.read(self.addresses[name], int(np.prod(shape)) * dtype.itemsize)
            feeds[name] = raw.view(dtype).reshape(shape).copy()
        answers = dict(zip(OUTPUTS, self.engine.session.run(OUTPUTS, feeds), strict=True))
        if self.engine.fault is not None:
            self.engine.fault(answers)
        for name, array in answers.items():
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            driver.write(self.addresses[name], data)


def fake_tensorrt(engine: FakeEngine | None = None, *, plan: bytes = b"plan") -> Any:
    """The module; its runtime knows one plan."""

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> FakeEngine | None:
            if data == plan:
                return engine
            self.logger.log(FakeLogger.Severity.ERROR, "the plan is of another version\nmore")
            return None

    module: Any = types.ModuleType("tensorrt")
    module.__version__ = VERSION
    module.__spec__ = ModuleSpec("tensorrt", None)
    module.DataType = DataType
    module.TensorIOMode = TensorIOMode
    module.ExecutionContextAllocationStrategy = Strategy
    module.ILogger = FakeLogger
    module.Runtime = Runtime
    return module
