"""The inputs and outputs of an engine, held to those of the bundle's graph.

An engine that is opened is asked for them once; `runtime.tensorrt` allocates by the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.errors import EngineError
from edgeinspect.runtime.session import BATCHED, OUTPUTS

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["EngineTensor", "check_constants", "read_tensors"]

_HINT = "run: edgeinspect build-engine BUNDLE --force"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTensor:
    """An input or output of an engine.

    Attributes:
        shape: with -1 for the batch or the number of tile positions.
        smallest, largest: length of an input's first axis, the one that may vary.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    smallest: int
    largest: int

    def bytes_of(self, n: int) -> int:
        """Bytes of n entries along the first axis."""
        return n * int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize


def read_tensors(trt: ModuleType, engine: trt.ICudaEngine) -> dict[str, EngineTensor]:
    """Inputs and outputs of an engine by name. Raises: EngineError if one has a foreign type."""
    dtypes: dict[Any, np.dtype[Any]] = {
        trt.DataType.UINT8: np.dtype(np.uint8),
        trt.DataType.INT32: np.dtype(np.int32),
        trt.DataType.FLOAT: np.dtype(np.float32),
    }
    tensors = {}
    for i in range(engine.num_io_tensors):
        name = engine.get_tensor_name(i)
        kind = engine.get_tensor_dtype(name)
        if kind not in dtypes:
            raise EngineError(f"the engine's {name} is {kind}, which is not ours", hint=_HINT)
        shape = tuple(engine.get_tensor_shape(name))
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        smallest = largest = shape[0]
        if is_input and -1 in shape:
            least, _, most = (tuple(dims) for dims in engine.get_tensor_profile_shape(name, 0))
            smallest, largest = int(least[0]), int(most[0])
        tensors[name] = EngineTensor(
            dtype=dtypes[kind], shape=shape, smallest=smallest, largest=largest
        )
    return tensors


def check_constants(
    tensors: dict[str, EngineTensor], constants: dict[str, NDArray[np.float32]]
) -> None:
    """An engine must have our inputs and outputs, and take constants of these shapes."""
    ours = {*BATCHED, *constants, *OUTPUTS}
    if set(tensors) != ours:
        odd = ", ".join(sorted(ours ^ set(tensors)))
        raise EngineError(f"the engine is not of this version's graph: see {odd}", hint=_HINT)
    for name, array in constants.items():
        tensor = tensors[name]
        is_fit = tensor.dtype == array.dtype and len(tensor.shape) == array.ndim
        is_fit = is_fit and all(
            w in (-1, g) for w, g in zip(tensor.shape, array.shape, strict=False)
        )
        is_fit = is_fit and array.shape[0] <= tensor.largest
        if not is_fit:
            raise EngineError(
                f"the constant {name} is float32 {array.shape}, the engine takes {tensor.shape}"
                f" with at most {tensor.largest} tile positions",
                hint="build the engine again for this calibration",
            )
