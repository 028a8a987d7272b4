"""Which flavours of TensorRT there are here, and their logger."""

from __future__ import annotations

import enum
import functools
import importlib
import importlib.util
import logging
from collections import deque
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edgeinspect.errors import EngineError, MissingPackageError
from edgeinspect.jetson import JETPACK_PACKAGE, read_jetson

__all__ = [
    "Flavour",
    "TensorRT",
    "find_tensorrt",
    "installed_flavours",
    "recent_errors",
    "recent_reason",
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

    def __str__(self) -> str:
        return f"{self.flavour.value} {self.version}"


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
    """A Jetson's TensorRT is JetPack's, never pip's, and TensorRT-RTX has no target for one."""
    if read_jetson() is None:
        return MissingPackageError(
            flavour.module_name, needed_for="building and running engines", extra=flavour.value
        )
    if flavour is Flavour.RTX:
        return EngineError("TensorRT-RTX is not for Jetsons", hint="use --runtime tensorrt")
    return EngineError(
        "this Python does not see TensorRT, which on a Jetson comes with JetPack",
        hint=f"run: sudo apt-get install {JETPACK_PACKAGE}, and make the environment with"
        " python3 -m venv --system-site-packages",
    )


@functools.cache
def shared_logger(trt: ModuleType) -> Any:
    """The logger of a flavour: its messages go to `logging`; errors are kept as well.

    One for the process, because TensorRT uses the first that it is given for ever.
    """
    severe = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class Bridge(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=N_ERRORS_KEPT)

        def log(self, severity: Any, msg: str) -> None:
            if severity in severe:
                self.errors.append(msg)
            _log.debug("%s: %s", severity, msg)

    return Bridge()


def recent_errors(trt: ModuleType) -> tuple[str, ...]:
    """What TensorRT called an error since this was last asked, oldest first."""
    errors = shared_logger(trt).errors
    taken = tuple(errors)
    errors.clear()
    return taken


def recent_reason(trt: ModuleType) -> str | None:
    """The first of `recent_errors`, which led to the others; None if nothing was said."""
    errors = recent_errors(trt)
    return errors[0].strip() if errors else None
