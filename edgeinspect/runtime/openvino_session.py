"""OpenVINO on a CPU: a second runtime for the same graphs.

It is never picked by "auto": which of the two is faster differs from CPU to CPU, `plan` measures
it. Everything is computed in FP32, whatever the CPU offers: OpenVINO takes bfloat16 by itself where
the CPU has it, whose eight bits are beyond the budget of parity (docs/bench.md).

Graphs are compiled for fixed shapes, which run faster than graphs of any batch: one for the batch
that was asked for, one for single images. Written for OpenVINO 2026.4; of 2025.0, 2025.4 and 2026.0
each stops in a pass of its own on graphs like these.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgeinspect.config import Precision
from edgeinspect.constants import RuleConstants
from edgeinspect.errors import EngineError, MissingPackageError
from edgeinspect.runtime.graph_tensors import FLOAT, GraphTensors
from edgeinspect.runtime.session import (
    BATCHED,
    OUTPUTS,
    Images,
    Ints,
    Scores,
    check_images,
    check_threads,
    check_tile,
)
from edgeinspect.runtime.signal_stack import drop_alternate_stack

__all__ = ["NAME", "OpenVinoSession", "require_openvino"]

NAME = "openvino"
DEVICE = "CPU"

_Answer = TypeVar("_Answer")


def require_openvino() -> Any:
    """The package. Raises: MissingPackageError, or EngineError if it is broken."""
    try:
        return importlib.import_module("openvino")
    except ModuleNotFoundError as error:
        raise MissingPackageError(NAME, needed_for=f"--runtime {NAME}", extra=NAME) from error
    except ImportError as error:
        raise EngineError(f"{NAME} cannot be loaded: {_reason(error)}") from error


class OpenVinoSession:
    """A bundle's scoring graph with its constants bound (`Session`)."""

    def __init__(
        self,
        path: Path,
        constants: RuleConstants,
        *,
        batch: int = 1,
        threads: int | None,
        precision: Precision | None = None,
    ) -> None:
        """Compile the graph; a second or two.

        Args:
            batch: images that most calls will have. Others are cut into such batches, and what is
                left over goes one by one.
            threads: of the CPU; None takes every core.
        Raises: MissingPackageError; EngineError in OpenVINO's words if it does not take the graph.
        """
        check_threads(threads)
        self.name, self.max_batch = NAME, None
        self.precision: Precision | None = precision
        self.engine: str | None = None
        self._openvino = require_openvino()
        self._path, self._threads = path, threads
        self._constants = constants.as_inputs()
        self._n_tiles, self._batch = constants.n_tiles, batch
        self.tensors = _describe(path, self._read())
        self.tensors.require(inputs=(*BATCHED, *self._constants), outputs=OUTPUTS)
        self.tensors.check_constants(self._constants)
        self._requests: dict[int, Any] | None = {n: self._compile(n) for n in {1, batch}}
        drop_alternate_stack()

    def infer(self, images: Images, tile: Ints, *, map_above: float | None = None) -> Scores:
        """See `Session.infer`; maps cost nothing here and are always given."""
        if self._requests is None:
            raise EngineError("the session is closed", hint="use it inside its `with`")
        check_images(images, self.tensors.image_size)
        check_tile(tile, len(images), self._n_tiles)
        images = np.ascontiguousarray(images)
        tile = np.ascontiguousarray(tile, dtype=np.int32)
        n_whole = len(images) // self._batch * self._batch
        starts = [*range(0, n_whole, self._batch), *range(n_whole, len(images))]
        parts = [
            self._infer_batch(self._requests[end - start], images[start:end], tile[start:end])
            for start, end in zip(starts, [*starts[1:], len(images)], strict=True)
        ]
        return parts[0] if len(parts) == 1 else Scores.join(parts)

    def _infer_batch(self, request: Any, images: Images, tile: Ints) -> Scores:
        """A batch of a size that was compiled; answers are copies, the request keeps its own."""

        def run() -> Scores:
            request.set_tensor("image", self._tensor(images))
            request.set_tensor("tile", self._tensor(tile))
            request.infer()
            return Scores(**{name: request.get_tensor(name).data.copy() for name in OUTPUTS})

        return self._calling("run", run)

    def _read(self) -> Any:
        """The graph, by the ONNX reader alone: the others would print what they do not like.

        Weights are read and not mapped: they stay when a bundle is copied over the one in use.
        """
        frontend = self._openvino.frontend.FrontEndManager().load_by_framework("onnx")
        read = functools.partial(frontend.load, str(self._path), enable_mmap=False)
        return self._calling("open", lambda: frontend.convert(read()))

    def _compile(self, n_images: int) -> Any:
        """A request for batches of one size, with the constants bound."""
        shapes = {name: list(array.shape) for name, array in self._constants.items()}
        shapes |= {name: [n_images, *self.tensors.inputs[name][1][1:]] for name in BATCHED}

        def compile_model() -> Any:
            model = self._read()
            model.reshape(shapes)
            compiled = self._openvino.Core().compile_model(model, DEVICE, self._settings())
            request = compiled.create_infer_request()
            for name, array in self._constants.items():
                request.set_tensor(name, self._tensor(array))
            return request

        return self._calling("open", compile_model)

    def _settings(self) -> dict[str, Any]:
        """One call as fast as can be, in FP32; threads are not tied to cores that others use."""
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        return settings | (
            {} if self._threads is None else {"INFERENCE_NUM_THREADS": self._threads}
        )

    def _tensor(self, array: Any) -> Any:
        return self._openvino.Tensor(array, shared_memory=True)

    def _calling(self, verb: str, call: Callable[[], _Answer]) -> _Answer:
        try:
            return call()
        except Exception as error:  # OpenVINO's own classes share no narrower base
            raise EngineError(f"{NAME} cannot {verb} {self._path}: {_reason(error)}") from error

    def close(self) -> None:
        self._requests = None

    def __enter__(self) -> OpenVinoSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _reason(error: Exception) -> str:
    """The last line of what OpenVINO says; before it come places in its source."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _describe(path: Path, model: Any) -> GraphTensors:
    return GraphTensors(path=path, inputs=_tensors(model.inputs), outputs=_tensors(model.outputs))


def _tensors(ports: Sequence[Any]) -> dict[str, tuple[str, tuple[int | str, ...]]]:
    """OpenVINO calls FP32 `f32`, and an axis of any length is dynamic."""
    found = {}
    for port in ports:
        kind = port.element_type.get_type_name()
        shape = tuple("?" if axis.is_dynamic else axis.get_length() for axis in port.partial_shape)
        found[port.any_name] = (FLOAT if kind == "f32" else kind, shape)
    return found
