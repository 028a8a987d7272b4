"""TensorRT in all its flavours and versions: the one place that knows how they differ.

Written for TensorRT 10.3 (JetPack 6) to 11.4 and TensorRT-RTX 1.7. Their Python modules have the
same names for the same things, so every function takes the module (`trt`) and asks for what not
all versions have by its name. Networks are strongly typed, so no version needs a precision flag.

A contract test (tests/test_tensorrt_contract.py) reads this file and all others that use a
TensorRT module, and holds each name to the API of every version. It follows types from parameters
annotated as `trt.CLASS` through the calls on them; a name that a version lacks must stand in a
function that asks for it with `hasattr`.
"""

from __future__ import annotations

import enum
import functools
import importlib
import importlib.util
import logging
from collections import deque
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edgeinspect.errors import EngineError, MissingPackageError
from edgeinspect.jetson import JETPACK_PACKAGE, read_jetson

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = [
    "Flavour",
    "TensorRT",
    "create_builder",
    "create_network",
    "deserialise_engine",
    "find_tensorrt",
    "installed_flavours",
    "recent_errors",
    "shared_logger",
]

_log = logging.getLogger(__name__)

N_ERRORS_KEPT = 20


class Flavour(str, enum.Enum):
    """TensorRT proper (Jetson, data centre, desktop) and TensorRT for RTX cards."""

    TENSORRT = "tensorrt"
    RTX = "tensorrt-rtx"

    @property
    def module_name(self) -> str:
        return self.value.replace("-", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRT:
    """An installed flavour and its module."""

    flavour: Flavour
    module: ModuleType

    @property
    def version(self) -> str:
        return str(self.module.__version__)


def installed_flavours() -> tuple[Flavour, ...]:
    """Those whose module is there to be imported, TensorRT proper first."""
    return tuple(f for f in Flavour if importlib.util.find_spec(f.module_name) is not None)


def find_tensorrt(runtime: str = "auto") -> TensorRT:
    """Import a flavour of TensorRT: "tensorrt", "tensorrt-rtx", or "auto" for what is installed.

    Raises: MissingPackageError (it names the extra, or JetPack's package), EngineError if the
        runtime is unknown or its libraries cannot be loaded.
    """
    names = [f.value for f in Flavour]
    if runtime == "auto":
        installed = installed_flavours()
        flavour = installed[0] if installed else Flavour.TENSORRT
    elif runtime in names:
        flavour = Flavour(runtime)
    else:
        raise EngineError(
            f"the runtime {runtime!r} has no engines", hint=f"use auto, {' or '.join(names)}"
        )
    try:
        module = importlib.import_module(flavour.module_name)
    except ModuleNotFoundError as error:
        raise _missing(flavour) from error
    except (ImportError, OSError) as error:
        raise EngineError(
            f"{flavour.module_name} is installed, but cannot be loaded: {error}",
            hint="install its libraries, or choose another --runtime",
        ) from error
    return TensorRT(flavour=flavour, module=module)


def _missing(flavour: Flavour) -> EngineError | MissingPackageError:
    """A Jetson's TensorRT is JetPack's, never pip's."""
    if flavour is Flavour.TENSORRT and read_jetson() is not None:
        return EngineError(
            "this Python does not see TensorRT, which on a Jetson comes with JetPack",
            hint=f"run: sudo apt-get install {JETPACK_PACKAGE}, and make the environment with"
            " python3 -m venv --system-site-packages",
        )
    return MissingPackageError(
        flavour.module_name, needed_for="building and running engines", extra=flavour.value
    )


@functools.cache
def shared_logger(trt: ModuleType) -> Any:
    """The logger of a flavour: its messages go to `logging`; errors are kept as well.

    One for the process, because TensorRT uses the first that it is given for ever.
    """
    levels = {
        trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
        trt.ILogger.Severity.ERROR: logging.ERROR,
        trt.ILogger.Severity.WARNING: logging.WARNING,
    }

    class Bridge(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=N_ERRORS_KEPT)

        def log(self, severity: Any, msg: str) -> None:
            level = levels.get(severity, logging.DEBUG)
            if level == logging.ERROR:
                self.errors.append(msg)
            _log.debug("%s: %s", severity, msg)

    return Bridge()


def recent_errors(trt: ModuleType) -> tuple[str, ...]:
    """What TensorRT called an error since this was last asked, oldest first."""
    errors = shared_logger(trt).errors
    taken = tuple(errors)
    errors.clear()
    return taken


def create_builder(trt: ModuleType) -> trt.Builder:
    """A builder. Raises: EngineError where TensorRT needs a GPU and there is none.

    TensorRT-RTX needs none; the others fail in their constructor.
    """
    recent_errors(trt)
    try:
        return trt.Builder(shared_logger(trt))
    except TypeError as error:
        raise EngineError(
            f"{trt.__name__} cannot start: {_first(recent_errors(trt)) or error}",
            hint="it builds on the machine with the GPU; TensorRT-RTX builds without one:"
            " add --runtime tensorrt-rtx --target sm86",
        ) from error


def create_network(trt: ModuleType, builder: trt.Builder) -> trt.INetworkDefinition:
    """A strongly typed network: types are the graph's, in every version."""
    flag = trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    return builder.create_network(1 << int(flag))  # the number differs between versions


def deserialise_engine(trt: ModuleType, plan: bytes) -> trt.ICudaEngine:
    """An engine from its plan, ready for contexts on the current GPU.

    Raises: EngineError, in TensorRT's words, if the plan is of another version or GPU.
    """
    recent_errors(trt)
    runtime = trt.Runtime(shared_logger(trt))
    engine = None if runtime is None else runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(
            f"{trt.__name__} {trt.__version__} cannot load the engine:"
            f" {_first(recent_errors(trt)) or 'it does not say why'}",
            hint="run: edgeinspect build-engine BUNDLE --force, on this machine",
        )
    return engine


def _first(messages: tuple[str, ...]) -> str | None:
    return messages[0].strip() if messages else None
