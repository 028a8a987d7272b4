"""An ONNX graph opened by ONNX Runtime, on a CPU or on CUDA.

The sessions of both stand on this module, which opens their graphs and chooses where they run.
A provider that cannot start falls back to the CPU by itself; here that is an error.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import platform
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from numpy.typing import NDArray

from edgeinspect.errors import EngineError, first_line
from edgeinspect.jetson import text_of
from edgeinspect.runtime.graph_tensors import GraphTensors
from edgeinspect.runtime.session import check_threads

__all__ = ["CPU", "CUDA", "OnnxGraph", "has_cuda", "load_onnxruntime"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
NAMES = {CPU: "onnxruntime", CUDA: "onnxruntime-cuda"}
LOG_ERRORS, LOG_NOTHING = 3, 4
NO_MEMORY = "Failed to allocate memory"
CORES = Path("/sys/devices/system/cpu")
BEARS_IDLE_CORES = (1, 27)  # the first; 1.20, 1.23, 1.25 and 1.26 abort (arm64 in emulation)


def has_cuda(ort: Any = None) -> bool:
    """Whether the ONNX Runtime that is installed was built with CUDA."""
    return CUDA in (ort or load_onnxruntime()).get_available_providers()


def load_onnxruntime(cores: Path = CORES) -> Any:
    """The module. Raises: EngineError where it would end the process instead.

    Before 1.27 it counts only the cores that are on, and writes past them when some are off, as in
    some power modes of a Jetson (microsoft/onnxruntime, issues 24092 and 25103).
    """
    online, present = (text_of(cores / name).strip() for name in ("online", "present"))
    version = _version()
    if platform.machine() == "aarch64" and online != present and version < BEARS_IDLE_CORES:
        raise EngineError(
            f"ONNX Runtime {'.'.join(map(str, version))} cannot start while processor cores are"
            f" off (on are {online} of {present})",
            hint="turn them on, on a Jetson by a power mode that has all (sudo nvpmodel -m 0)",
        )
    import onnxruntime

    return onnxruntime


def _version() -> tuple[int, ...]:
    """(major, minor) of the package, known without importing it."""
    for name in ("onnxruntime", "onnxruntime-gpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return tuple(int(part) for part in importlib.metadata.version(name).split(".")[:2])
    return BEARS_IDLE_CORES  # the system's, or none


class OnnxGraph:
    """An open ONNX graph: its shapes, and one way to run it.

    Args of the constructor:
        options: of the provider. threads: of the CPU; None leaves it to ONNX Runtime.
        ort: the module `onnxruntime`, for tests.
    """

    def __init__(
        self,
        path: Path,
        *,
        provider: str = CPU,
        options: dict[str, str] | None = None,
        threads: int | None = None,
        ort: Any = None,
    ) -> None:
        self.path = path
        self.provider = provider
        self.ort = ort or load_onnxruntime()
        self._session: Any = _open(self.ort, path, (provider, options or {}), threads)
        self.tensors = GraphTensors(
            path=path,
            inputs=_described(self._session.get_inputs()),
            outputs=_described(self._session.get_outputs()),
        )

    @property
    def name(self) -> str:
        return NAMES[self.provider]

    def binding(self) -> Any:
        return self._opened().io_binding()

    def on_device(self, array: NDArray[Any]) -> Any:
        """A copy of an array that stays where the graph runs. Raises: EngineError."""
        device = "cuda" if self.provider == CUDA else "cpu"
        with self.engine_errors():
            return self.ort.OrtValue.ortvalue_from_numpy(array, device)

    def run(self, binding: Any) -> None:
        """Run with what is bound. Raises: EngineError."""
        session = self._opened()
        with self.engine_errors():
            session.run_with_iobinding(binding)

    @contextlib.contextmanager
    def engine_errors(self) -> Iterator[None]:
        """Turn what ONNX Runtime raises into an EngineError with its first line."""
        try:
            yield
        except Exception as error:  # ONNX Runtime's own classes share no narrower base
            first = first_line(error)
            if NO_MEMORY in first:
                raise EngineError(
                    f"{self.name} finds no memory for a call of {self.path.name}",
                    hint="use a smaller --batch",
                ) from error
            raise EngineError(f"{self.name} failed on {self.path.name}: {first}") from error

    def outputs_of(self, binding: Any, names: Sequence[str]) -> list[NDArray[Any]]:
        """Run with the inputs that are bound; outputs as arrays, in the order asked for."""
        binding.clear_binding_outputs()
        for name in names:
            binding.bind_output(name, "cpu")
        self.run(binding)
        return list(binding.copy_outputs_to_cpu())

    def check_open(self) -> None:
        """Raises: EngineError if it is closed: ONNX Runtime 1.23 crashes on bindings used then."""
        self._opened()

    def _opened(self) -> Any:
        if self._session is None:
            raise EngineError("the session is closed", hint="use it inside its `with`")
        return self._session

    def close(self) -> None:
        self._session = None


def _open(ort: Any, path: Path, provider: tuple[str, dict[str, str]], threads: int | None) -> Any:
    ort.set_default_logger_severity(LOG_ERRORS)
    options = ort.SessionOptions()
    options.log_severity_level = LOG_NOTHING  # what a session cannot do, it raises as well
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    check_threads(threads)
    if threads is not None:
        options.intra_op_num_threads = threads
    name = provider[0]
    if name == CUDA:
        _load_cuda_libraries(ort)
    try:
        with _weights_apart(path, options) as graph:
            session = ort.InferenceSession(graph, options, providers=[provider])
    except Exception as error:  # ONNX Runtime's own classes share no narrower base
        raise EngineError(f"{NAMES[name]} cannot open {path}: {first_line(error)}") from error
    if session.get_providers()[0] != name:
        raise EngineError(
            "ONNX Runtime could not start CUDA and fell back to the CPU",
            hint="run: edgeinspect doctor, or use --runtime onnxruntime",
        )
    return session


@contextlib.contextmanager
def _weights_apart(path: Path, options: Any) -> Iterator[Path]:
    """The graph to open, whose weights no other program can change from then on.

    ONNX Runtime maps files of weights and reads them while it runs: a bundle that is copied over
    the one in use would judge with half of each, or end the process. It takes them from memory
    where it knows how (1.32 does, 1.23 does not), else from a copy that loses its name.
    """
    graph = path.read_bytes()
    files = [f for f in path.parent.iterdir() if f.name.encode() in graph and f.is_file()]
    if not files:
        yield path
    elif hasattr(options, "add_external_initializers_from_files_in_memory"):
        weights = [file.read_bytes() for file in files]
        names, sizes = [file.name for file in files], list(map(len, weights))
        options.add_external_initializers_from_files_in_memory(names, weights, sizes)
        yield path
    else:
        with TemporaryDirectory() as place:
            for file in (path, *files):
                shutil.copyfile(file, Path(place, file.name))
            yield Path(place, path.name)


def _load_cuda_libraries(ort: Any) -> None:
    """Those of pip's nvidia packages, which the loader does not find; it prints what it lacks.

    ONNX Runtime looks beside itself alone; the packages can lie in another folder of `sys.path`.
    """
    if not hasattr(ort, "preload_dlls"):  # from ONNX Runtime 1.21 on
        return
    with contextlib.redirect_stdout(io.StringIO()):
        for root in _nvidia_folders():
            for part in ("cu13/lib", "cudnn/lib"):
                if (root / part).is_dir():
                    is_cudnn = part.startswith("cudnn")
                    place = str(root / part)
                    ort.preload_dlls(cuda=not is_cudnn, cudnn=is_cudnn, directory=place)
        ort.preload_dlls()


def _nvidia_folders() -> list[Path]:
    """Where pip has put packages `nvidia-...`."""
    spec = importlib.util.find_spec("nvidia")
    places = spec.submodule_search_locations if spec is not None else None
    return [Path(place).resolve() for place in places or ()]


def _described(values: Sequence[Any]) -> dict[str, tuple[str, tuple[int | str, ...]]]:
    """ONNX Runtime calls a type "tensor(float)"."""
    return {v.name: (v.type[len("tensor(") : -1], tuple(v.shape)) for v in values}
