"""ONNX Runtime on CUDA: for NVIDIA machines without TensorRT.

Inputs, outputs and constants live on the device at fixed addresses (IO binding), so that ONNX
Runtime can replay the whole graph as one CUDA graph. It refuses to, with an error, if any node that
computes were to run on the CPU.

A graph is replayed in an ONNX Runtime session that has seen one batch size alone: recorded for
several in one, it ends in an illegal instruction (docs/decisions/0019). So there are few sizes, 1,
2, 4 and so on, and a batch is filled up to the next of them.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import Precision
from edgeinspect.constants import RuleConstants
from edgeinspect.errors import EngineError
from edgeinspect.jetson import read_jetson
from edgeinspect.runtime.onnxruntime_graph import CUDA, OnnxGraph, has_cuda
from edgeinspect.runtime.session import (
    BATCHED,
    OUTPUTS,
    DeviceTimes,
    Images,
    Ints,
    Scores,
    check_images,
    check_thread,
    check_tile,
)

__all__ = ["OnnxRuntimeCudaSession", "require_cuda"]

Array = NDArray[Any]

_MAP = "anomaly_map"
_FIGURES = tuple(name for name in OUTPUTS if name != _MAP)  # of an image: small, always wanted
_DTYPES = {"float": np.float32, "int32": np.int32}


def require_cuda(ort: Any = None) -> None:
    """Raise EngineError if the ONNX Runtime that is installed was built without CUDA."""
    if has_cuda(ort):
        return
    hint = 'run: pip install "edgeinspect[gpu]" after pip uninstall onnxruntime'
    if read_jetson() is not None:  # the extra's package is not made for one
        hint = "use --runtime tensorrt"
    raise EngineError("this ONNX Runtime has no CUDA", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """One batch size: its graph, and its values on the device, bound."""

    n: int
    graph: OnnxGraph
    binding: Any
    values: dict[str, Any]

    def run(self) -> None:
        self.graph.run(self.binding)


class OnnxRuntimeCudaSession:
    """A bundle's scoring graph on CUDA with its constants bound (`Session`), for one thread."""

    def __init__(
        self,
        path: Path,
        constants: RuleConstants,
        *,
        precision: Precision | None = None,
        batch: int = 1,
        is_replayed: bool = True,
        ort: Any = None,
    ) -> None:
        """Open the graph and copy the constants to the device.

        Args:
            batch: the largest that will come. Each size up to it is run once, since the first run
                of a size takes a second or two on a GPU; a larger one is opened when it comes.
            is_replayed: as a CUDA graph; without, nodes may end up on the CPU.
            ort: the module `onnxruntime`, for tests.
        Raises: EngineError if there is no CUDA, or it cannot take the whole graph.
        """
        require_cuda(ort)
        # TF32 has ten bits: sums of squares of FP32 scoring would lose everything.
        options = {"use_tf32": "0", "enable_cuda_graph": str(int(is_replayed))}
        self._open_graph = functools.partial(
            OnnxGraph, path, provider=CUDA, options=options, ort=ort
        )
        self._graph = self._open_graph()
        self._is_replayed = is_replayed
        self._thread = threading.get_ident()
        self.name = self._graph.name
        self.precision: Precision | None = precision
        self.engine: str | None = None
        self.max_batch: int | None = None
        arrays = constants.as_inputs()
        self._graph.tensors.require(inputs=(*BATCHED, *arrays), outputs=OUTPUTS)
        self._graph.tensors.check_constants(arrays)
        self._n_tiles = constants.n_tiles
        self._constants = {n: self._graph.on_device(a) for n, a in arrays.items()}
        self._lanes: dict[int, _Lane] = {}
        for power in range(_filled_size(batch).bit_length()):
            self._lane(1 << power).run()

    def infer(self, images: Images, tile: Ints, *, map_above: float | None = None) -> Scores:
        """See `Session.infer`; maps are copied back if one of the batch is wanted."""
        check_thread(self._thread)
        check_images(images, self._graph.tensors.image_size)
        check_tile(tile, len(images), self._n_tiles)
        n, lane = len(images), self._lane(len(images))
        _copy_in(lane, _filled(images, lane.n), _filled(tile, lane.n))
        lane.run()
        scores = {name: value[:n] for name, value in _copy_out(lane, _FIGURES).items()}
        is_wanted = map_above is None or bool((scores["score"] > map_above).any())
        if is_wanted:
            maps = _copy_out(lane, (_MAP,))[_MAP][:n]
        else:
            maps = np.zeros((n, *lane.values[_MAP].shape()[1:]), np.float32)
        return Scores(anomaly_map=maps, has_map=np.full(n, is_wanted, np.bool_), **scores)

    def device_times(self, n_images: int, n_times: int) -> list[DeviceTimes]:
        """See `TimedSession.device_times`: by the host's clock, since each step waits."""
        check_thread(self._thread)
        lane = self._lanes[_filled_size(n_images)]
        images, tile = lane.values["image"].numpy(), lane.values["tile"].numpy()
        steps = (
            lambda: _copy_in(lane, images, tile),
            lane.run,
            lambda: _copy_out(lane, _FIGURES),
        )
        found = []
        for _ in range(n_times):
            times = [_milliseconds(step) for step in steps]
            found.append(
                DeviceTimes(copy_in_ms=times[0], compute_ms=times[1], copy_out_ms=times[2])
            )
        return found

    def _lane(self, n_images: int) -> _Lane:
        n = _filled_size(n_images)
        if n not in self._lanes:
            self._lanes[n] = self._open_lane(n)
        return self._lanes[n]

    def _open_lane(self, n: int) -> _Lane:
        """Values of the batch's own at addresses that stay, bound in and out."""
        graph = self._open_graph() if self._lanes and self._is_replayed else self._graph
        binding = graph.binding()
        height, width = graph.tensors.image_size
        values = {
            "image": graph.on_device(np.zeros((n, height, width, 3), np.uint8)),
            "tile": graph.on_device(np.zeros(n, np.int32)),
        }
        for name, value in {**values, **self._constants}.items():
            binding.bind_ortvalue_input(name, value)
        for name in OUTPUTS:
            dtype, shape = graph.tensors.outputs[name]
            sides = [int(side) for side in shape[1:]]
            values[name] = graph.on_device(np.zeros((n, *sides), _DTYPES[dtype]))
            binding.bind_ortvalue_output(name, values[name])
        return _Lane(n=n, graph=graph, binding=binding, values=values)

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.graph.close()
        self._lanes.clear()
        self._constants.clear()
        self._graph.close()

    def __enter__(self) -> OnnxRuntimeCudaSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _filled_size(n: int) -> int:
    """The next power of two."""
    return 1 << (n - 1).bit_length()


def _filled(values: Array, n: int) -> Array:
    """Filled up with the last to `n`."""
    if len(values) == n:
        return values
    return np.concatenate([values, np.repeat(values[-1:], n - len(values), axis=0)])


def _copy_in(lane: _Lane, images: Images, tile: Ints) -> None:
    with lane.graph.engine_errors():
        lane.values["image"].update_inplace(np.ascontiguousarray(images))
        lane.values["tile"].update_inplace(np.ascontiguousarray(tile, dtype=np.int32))


def _copy_out(lane: _Lane, names: Sequence[str]) -> dict[str, Array]:
    with lane.graph.engine_errors():
        return {name: lane.values[name].numpy() for name in names}


def _milliseconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - start)
