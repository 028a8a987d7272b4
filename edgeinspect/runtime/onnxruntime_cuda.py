"""ONNX Runtime on CUDA: for NVIDIA machines without TensorRT.

Inputs, outputs and constants live on the device at fixed addresses (IO binding), one set for each
batch size, so that ONNX Runtime can replay the whole graph as one CUDA graph. It refuses to, with
an error, if any node that computes were to run on the CPU.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeinspect.config import Precision
from edgeinspect.constants import RuleConstants
from edgeinspect.errors import EngineError
from edgeinspect.runtime.onnxruntime_graph import CUDA, OnnxGraph, has_cuda
from edgeinspect.runtime.session import (
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

_MAP = "anomaly_map"
_DTYPES = {"float": np.float32, "int32": np.int32}


def require_cuda(ort: Any = None) -> None:
    """Raise EngineError if the ONNX Runtime that is installed was built without CUDA."""
    if not has_cuda(ort):
        raise EngineError(
            "this ONNX Runtime has no CUDA",
            hint='run: pip install "edgeinspect[gpu]" after pip uninstall onnxruntime',
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """One batch size: its values on the device, bound, and the options that name its graph."""

    binding: Any
    values: dict[str, Any]
    run_options: Any


class OnnxRuntimeCudaSession:
    """A bundle's scoring graph on CUDA with its constants bound (`Session`), for one thread."""

    def __init__(
        self,
        path: Path,
        constants: RuleConstants,
        *,
        precision: Precision | None = None,
        is_replayed: bool = True,
        ort: Any = None,
    ) -> None:
        """Open the graph and copy the constants to the device.

        Args:
            is_replayed: as a CUDA graph; without, nodes may end up on the CPU.
            ort: the module `onnxruntime`, for tests.
        Raises: EngineError if there is no CUDA, or it cannot take the whole graph.
        """
        require_cuda(ort)
        # TF32 has ten bits: sums of squares of FP32 scoring would lose everything.
        options = {"use_tf32": "0", "enable_cuda_graph": str(int(is_replayed))}
        self._graph = OnnxGraph(path, provider=CUDA, options=options, ort=ort)
        self._is_replayed = is_replayed
        self._thread = threading.get_ident()
        self.name = self._graph.name
        self.precision: Precision | None = precision
        self.engine: str | None = None
        self.max_batch: int | None = None
        arrays = constants.as_inputs()
        self._graph.tensors.require(inputs=("image", "tile", *arrays), outputs=OUTPUTS)
        self._graph.tensors.check_constants(arrays)
        self._n_tiles = constants.n_tiles
        self._constants = {n: self._graph.on_device(a) for n, a in arrays.items()}
        self._lanes: dict[int, _Lane] = {}

    def infer(self, images: Images, tile: Ints, *, map_above: float | None = None) -> Scores:
        """See `Session.infer`; maps are copied back if one of the batch is wanted."""
        check_thread(self._thread)
        check_images(images, self._graph.tensors.image_size)
        check_tile(tile, len(images), self._n_tiles)
        lane = self._lanes.get(len(images)) or self._open_lane(len(images))
        _copy_in(lane, images, tile)
        self._graph.run(lane.binding, lane.run_options)
        scores = _copy_out(lane)
        is_wanted = map_above is None or bool((scores["score"] > map_above).any())
        value = lane.values[_MAP]
        maps = value.numpy() if is_wanted else np.zeros(value.shape(), np.float32)
        return Scores(anomaly_map=maps, has_map=np.full(len(images), is_wanted, np.bool_), **scores)

    def device_times(self, n_images: int, n_times: int) -> list[DeviceTimes]:
        """See `TimedSession.device_times`: by the host's clock, since each step waits."""
        check_thread(self._thread)
        lane = self._lanes[n_images]
        images, tile = lane.values["image"].numpy(), lane.values["tile"].numpy()
        steps = (
            lambda: _copy_in(lane, images, tile),
            lambda: self._graph.run(lane.binding, lane.run_options),
            lambda: _copy_out(lane),
        )
        found = []
        for _ in range(n_times):
            times = [_milliseconds(step) for step in steps]
            found.append(
                DeviceTimes(copy_in_ms=times[0], compute_ms=times[1], copy_out_ms=times[2])
            )
        return found

    def _open_lane(self, n: int) -> _Lane:
        """Values of the batch's own at addresses that stay, bound in and out."""
        graph, binding = self._graph, self._graph.binding()
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
        run_options = graph.ort.RunOptions()
        if self._is_replayed:
            run_options.add_run_config_entry("gpu_graph_id", str(n))
        self._lanes[n] = _Lane(binding=binding, values=values, run_options=run_options)
        return self._lanes[n]

    def close(self) -> None:
        self._lanes.clear()
        self._constants.clear()
        self._graph.close()

    def __enter__(self) -> OnnxRuntimeCudaSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _copy_in(lane: _Lane, images: Images, tile: Ints) -> None:
    lane.values["image"].update_inplace(np.ascontiguousarray(images))
    lane.values["tile"].update_inplace(np.ascontiguousarray(tile, dtype=np.int32))


def _copy_out(lane: _Lane) -> dict[str, Any]:
    """All outputs but the map."""
    return {name: lane.values[name].numpy() for name in OUTPUTS if name != _MAP}


def _milliseconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - start)
