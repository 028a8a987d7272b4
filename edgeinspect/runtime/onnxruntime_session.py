"""ONNX Runtime: the runtime of every box, on its CPU, and on CUDA where it is installed.

All that is particular to ONNX Runtime is here. The constants are bound to the session once,
so on a GPU they are copied once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.constants import RuleConstants
from edgeinspect.errors import EngineError
from edgeinspect.runtime.session import (
    OUTPUTS,
    RUNTIMES,
    Floats,
    Images,
    Ints,
    Scores,
    check_images,
    check_tile,
)

__all__ = ["OnnxRuntimeMaps", "OnnxRuntimeSession", "pick_provider"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_NAMES = {CPU: "onnxruntime", CUDA: "onnxruntime-cuda"}
_LOG_ERRORS_ONLY = 3


def pick_provider(runtime: str) -> str:
    """The execution provider that a runtime's name asks for.

    Raises: EngineError if the name is unknown, or what it needs is not there.
    """
    if runtime not in RUNTIMES:
        raise EngineError(f"there is no runtime {runtime!r}", hint=f"use one of {_list(RUNTIMES)}")
    if runtime.startswith("tensorrt"):
        raise EngineError(
            f"the runtime {runtime} is not there yet in this version",
            hint="use --runtime onnxruntime",
        )
    if runtime == "onnxruntime":
        return CPU
    has_cuda = CUDA in _available_providers()
    if runtime == "onnxruntime-cuda" and not has_cuda:
        raise EngineError(
            "this ONNX Runtime has no CUDA",
            hint='run: pip install "edgeinspect[gpu]" after pip uninstall onnxruntime',
        )
    return CUDA if has_cuda else CPU


def _available_providers() -> list[str]:
    import onnxruntime

    return list(onnxruntime.get_available_providers())


class _Graph:
    """An open ONNX graph: its shapes, and one way to run it."""

    def __init__(self, path: Path, *, provider: str, threads: int | None) -> None:
        self.path = path
        self.provider = provider
        self._session: Any = _open(path, provider, threads)
        self.inputs = {i.name: (str(i.type), tuple(i.shape)) for i in self._session.get_inputs()}
        self.outputs = tuple(str(o.name) for o in self._session.get_outputs())

    @property
    def name(self) -> str:
        return _NAMES[self.provider]

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the `image` input."""
        shape = self.inputs["image"][1]
        return int(shape[1]), int(shape[2])

    def require(self, *, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        lacking = [n for n in inputs if n not in self.inputs]
        lacking += [n for n in outputs if n not in self.outputs]
        unknown = [n for n in self.inputs if n not in inputs]
        if lacking or unknown:
            raise EngineError(
                f"{self.path} is not a graph that this version runs: it lacks"
                f" {_list(lacking) or 'nothing'}, has {_list(unknown) or 'nothing'} besides",
                hint="export the bundle again with this version",
            )

    def binding(self) -> Any:
        return self._opened().io_binding()

    def on_device(self, array: NDArray[Any]) -> Any:
        """A copy of an array that stays where the graph runs."""
        import onnxruntime

        device = "cuda" if self.provider == CUDA else "cpu"
        return onnxruntime.OrtValue.ortvalue_from_numpy(array, device)

    def run(self, binding: Any, outputs: tuple[str, ...]) -> list[NDArray[Any]]:
        """Run with what is bound; outputs in the order asked for."""
        session = self._opened()
        binding.clear_binding_outputs()
        for name in outputs:
            binding.bind_output(name, "cpu")
        try:
            session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime's own classes share no narrower base
            first = str(error).strip().splitlines()[0]
            raise EngineError(f"{self.name} failed on {self.path.name}: {first}") from error
        return list(binding.copy_outputs_to_cpu())

    def _opened(self) -> Any:
        if self._session is None:
            raise EngineError("the session is closed", hint="use it inside its `with`")
        return self._session

    def close(self) -> None:
        self._session = None


def _open(path: Path, provider: str, threads: int | None) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(_LOG_ERRORS_ONLY)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    if threads is not None:
        if threads < 1:
            raise EngineError(f"threads is {threads}: it must be at least 1")
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as error:  # ONNX Runtime's own classes share no narrower base
        first = str(error).strip().splitlines()[0]
        raise EngineError(f"{_NAMES[provider]} cannot open {path}: {first}") from error
    if session.get_providers()[0] != provider:  # it falls back to the CPU by itself
        raise EngineError(
            "ONNX Runtime could not start CUDA", hint="run: edgeinspect doctor, or use the CPU"
        )
    return session


class OnnxRuntimeSession:
    """A bundle's scoring graph with its constants bound (`Session`)."""

    def __init__(
        self, path: Path, constants: RuleConstants, *, provider: str = CPU, threads: int | None
    ) -> None:
        self._graph = _Graph(path, provider=provider, threads=threads)
        self.name = self._graph.name
        self.max_batch: int | None = None
        arrays = constants.as_inputs()
        self._graph.require(inputs=("image", "tile", *arrays), outputs=OUTPUTS)
        _check_constants(self._graph, arrays)
        self._n_tiles = constants.n_tiles
        self._binding = self._graph.binding()
        self._constants = {n: self._graph.on_device(a) for n, a in arrays.items()}
        for name, value in self._constants.items():
            self._binding.bind_ortvalue_input(name, value)

    def infer(self, images: Images, tile: Ints, *, map_above: float | None = None) -> Scores:
        """See `Session.infer`; maps cost nothing here and are always given."""
        check_images(images, self._graph.image_size)
        check_tile(tile, len(images), self._n_tiles)
        self._binding.bind_cpu_input("image", np.ascontiguousarray(images))
        self._binding.bind_cpu_input("tile", np.ascontiguousarray(tile, dtype=np.int32))
        return Scores(**dict(zip(OUTPUTS, self._graph.run(self._binding, OUTPUTS), strict=True)))

    def close(self) -> None:
        self._graph.close()

    def __enter__(self) -> OnnxRuntimeSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class OnnxRuntimeMaps:
    """A bundle's maps graph (`MapSession`)."""

    def __init__(self, path: Path, *, threads: int | None) -> None:
        self._graph = _Graph(path, provider=CPU, threads=threads)
        self._graph.require(inputs=("image",), outputs=("error_maps", "reconstructions"))
        self.name = self._graph.name

    def error_maps(self, images: Images) -> Floats:
        """See `MapSession.error_maps`."""
        return self._run(images, ("error_maps",))[0]

    def reconstruct(self, images: Images) -> tuple[Floats, Floats]:
        """See `MapSession.reconstruct`."""
        maps, reconstructions = self._run(images, ("error_maps", "reconstructions"))
        return maps, reconstructions

    def _run(self, images: Images, outputs: tuple[str, ...]) -> list[NDArray[Any]]:
        check_images(images, self._graph.image_size)
        binding = self._graph.binding()
        binding.bind_cpu_input("image", np.ascontiguousarray(images))
        return self._graph.run(binding, outputs)

    def close(self) -> None:
        self._graph.close()

    def __enter__(self) -> OnnxRuntimeMaps:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _check_constants(graph: _Graph, arrays: dict[str, Floats]) -> None:
    """Each constant must have the graph's dtype and, where that is fixed, its shape."""
    for name, array in arrays.items():
        dtype, shape = graph.inputs[name]
        is_fit = len(shape) == array.ndim and all(
            not isinstance(want, int) or want == got
            for want, got in zip(shape, array.shape, strict=False)
        )
        if not is_fit or dtype != "tensor(float)":
            raise EngineError(
                f"the constant {name} is float32 {array.shape}, {graph.path.name} takes"
                f" {dtype} {shape}",
                hint="calibrate the bundle again",
            )


def _list(names: object) -> str:
    return ", ".join(str(n) for n in names) if isinstance(names, tuple | list) else str(names)
