"""ONNX Runtime on a CPU: the runtime of every box. The constants are bound to the session once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import Precision
from edgeinspect.constants import RuleConstants
from edgeinspect.runtime.onnxruntime_graph import OnnxGraph
from edgeinspect.runtime.session import (
    BATCHED,
    OUTPUTS,
    Floats,
    Images,
    Ints,
    Scores,
    check_images,
    check_tile,
)

__all__ = ["OnnxRuntimeMaps", "OnnxRuntimeSession"]


class OnnxRuntimeSession:
    """A bundle's scoring graph with its constants bound (`Session`)."""

    def __init__(
        self,
        path: Path,
        constants: RuleConstants,
        *,
        threads: int | None,
        precision: Precision | None = None,
    ) -> None:
        self._graph = OnnxGraph(path, threads=threads)
        self.name = self._graph.name
        self.precision: Precision | None = precision
        self.engine: str | None = None
        self.max_batch: int | None = None
        arrays = constants.as_inputs()
        self._graph.tensors.require(inputs=(*BATCHED, *arrays), outputs=OUTPUTS)
        self._graph.tensors.check_constants(arrays)
        self._n_tiles = constants.n_tiles
        self._binding = self._graph.binding()
        self._constants = {n: self._graph.on_device(a) for n, a in arrays.items()}
        for name, value in self._constants.items():
            self._binding.bind_ortvalue_input(name, value)

    def infer(self, images: Images, tile: Ints, *, map_above: float | None = None) -> Scores:
        """See `Session.infer`; maps cost nothing here and are always given."""
        self._graph.check_open()
        check_images(images, self._graph.tensors.image_size)
        check_tile(tile, len(images), self._n_tiles)
        self._binding.bind_cpu_input("image", np.ascontiguousarray(images))
        self._binding.bind_cpu_input("tile", np.ascontiguousarray(tile, dtype=np.int32))
        return Scores(
            **dict(zip(OUTPUTS, self._graph.outputs_of(self._binding, OUTPUTS), strict=True))
        )

    def close(self) -> None:
        self._graph.close()

    def __enter__(self) -> OnnxRuntimeSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class OnnxRuntimeMaps:
    """A bundle's maps graph (`MapSession`)."""

    def __init__(self, path: Path, *, threads: int | None) -> None:
        self._graph = OnnxGraph(path, threads=threads)
        self._graph.tensors.require(inputs=("image",), outputs=("error_maps", "reconstructions"))
        self.name = self._graph.name

    def error_maps(self, images: Images) -> Floats:
        """See `MapSession.error_maps`."""
        return self._run(images, ("error_maps",))[0]

    def reconstruct(self, images: Images) -> tuple[Floats, Floats]:
        """See `MapSession.reconstruct`."""
        maps, reconstructions = self._run(images, ("error_maps", "reconstructions"))
        return maps, reconstructions

    def _run(self, images: Images, outputs: tuple[str, ...]) -> list[NDArray[Any]]:
        check_images(images, self._graph.tensors.image_size)
        binding = self._graph.binding()
        binding.bind_cpu_input("image", np.ascontiguousarray(images))
        return self._graph.outputs_of(binding, outputs)

    def close(self) -> None:
        self._graph.close()

    def __enter__(self) -> OnnxRuntimeMaps:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
