"""The CUDA driver, as little of it as an engine session needs, through whichever binding is there.

`runtime.tensorrt` talks to `CudaDriver`; cuda-python and PyCUDA are behind it, and a fake in the
tests. Addresses, streams, graphs and events are plain integers, pinned memory is an array, so that
nothing of a binding leaves this module. Written for cuda-python 12.6 to 13 (`cuda.bindings`) and
PyCUDA 2022 to 2026.
"""

from __future__ import annotations

import ctypes
import importlib
import threading
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeinspect.errors import EngineError, MissingPackageError, first_line
from edgeinspect.jetson import read_jetson

__all__ = ["PROVIDERS", "CudaDriver", "CudaPython", "PyCuda", "open_driver"]

Bytes = NDArray[np.uint8]

PROVIDERS = MappingProxyType({"cuda-python": "cuda.bindings.driver", "pycuda": "pycuda.driver"})

_HINTS = (  # (what a driver's error holds, what to do); PyCUDA has the words, cuda-python the names
    (("out_of_memory", "out of memory"), "close what else uses the GPU, or use a smaller --batch"),
    (("no_device", "no cuda-capable device"), "run: edgeinspect doctor"),
    (("insufficient", "mismatch"), "install a newer NVIDIA driver"),
    (("illegal_address", "illegal", "launch_failed"), "start again: the GPU's context is lost"),
)


class CudaDriver(Protocol):
    """The first GPU. Every method may raise EngineError.

    All copies and launches are asynchronous and in the order of their stream: a host array may
    be read or changed again only after `synchronise`.

    `name` is of the binding: "cuda-python" or "pycuda".
    """

    name: str

    def make_current(self) -> None:
        """Let the calling thread use this GPU; needed once in each thread."""
        ...

    def allocate(self, n_bytes: int) -> int:
        """The address of device memory."""
        ...

    def free(self, address: int) -> None: ...

    def allocate_pinned(self, n_bytes: int) -> Bytes:
        """Host memory (n_bytes,) that the GPU copies to and from by itself."""
        ...

    def free_pinned(self, array: Bytes) -> None: ...

    def copy_in(self, address: int, array: Bytes, stream: int) -> None:
        """Copy pinned memory, or a slice of it, to the device."""
        ...

    def copy_out(self, array: Bytes, address: int, stream: int) -> None:
        """Copy device memory to pinned memory, or to a slice of it."""
        ...

    def open_stream(self) -> int: ...

    def close_stream(self, stream: int) -> None: ...

    def synchronise(self, stream: int) -> None:
        """Wait until all that the stream was given is done."""
        ...

    def begin_capture(self, stream: int) -> None:
        """What the stream is given from now on is recorded and not run.

        Raises: EngineError where the binding records nothing.
        """
        ...

    def end_capture(self, stream: int) -> int:
        """The graph of what was recorded since `begin_capture`."""
        ...

    def launch(self, graph: int, stream: int) -> None: ...

    def close_graph(self, graph: int) -> None: ...

    def open_event(self) -> int: ...

    def record(self, event: int, stream: int) -> None: ...

    def elapsed_ms(self, start: int, end: int) -> float:
        """Time on the device between two events that a `synchronise` has passed."""
        ...

    def close_event(self, event: int) -> None: ...

    def close(self) -> None: ...


def open_driver(provider: str | None = None) -> CudaDriver:
    """The first GPU, through the binding that is installed; `provider` names one of `PROVIDERS`.

    Raises: MissingPackageError if there is no binding (EngineError with the command on a Jetson),
        EngineError if there is no driver or GPU.
    """
    for name in PROVIDERS if provider is None else (provider,):
        module = _import_binding(name)
        if module is not None:
            return CudaPython(module) if name == "cuda-python" else PyCuda(module)
    raise _no_binding(provider or "cuda-python")


def _no_binding(package: str) -> EngineError | MissingPackageError:
    """The extra that brings cuda-python would bring a TensorRT that is not made for Jetsons."""
    jetson = read_jetson()
    if package == "cuda-python" and jetson is not None:
        return EngineError(
            "an engine session needs the package cuda-python, which is not installed",
            hint=f"run: {jetson.cuda_python_command}",
        )
    extra = "pycuda" if package == "pycuda" else "tensorrt"
    return MissingPackageError(package, needed_for="an engine session", extra=extra)


def _import_binding(name: str) -> Any:
    """The binding's driver module, or None if it is not installed."""
    try:
        return importlib.import_module(PROVIDERS[name])
    except ModuleNotFoundError:
        return None
    except ImportError as error:  # PyCUDA is linked to the driver
        raise _no_driver(error) from error


def _no_driver(error: Exception) -> EngineError:
    return EngineError(
        f"there is no NVIDIA driver: {first_line(error)}", hint="run: edgeinspect doctor"
    )


def _driver_error(call: str, words: str) -> EngineError:
    text = words.lower()
    hints = (hint for marks, hint in _HINTS if any(mark in text for mark in marks))
    return EngineError(f"the CUDA driver failed in {call}: {words}", hint=next(hints, None))


class CudaPython:
    """cuda-python's `cuda.bindings.driver`, whose functions answer (result, *values)."""

    name = "cuda-python"

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        try:
            self._call("cuInit", 0)
        except RuntimeError as error:  # the binding looks for the driver's library at this call
            raise _no_driver(error) from error
        self._device = self._call("cuDeviceGet", 0)
        self._context: Any = self._call("cuDevicePrimaryCtxRetain", self._device)
        self.make_current()

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call the driver; gives its one value, or None. Raises: EngineError."""
        result, *values = getattr(self._driver, name)(*arguments)
        if result != self._driver.CUresult.CUDA_SUCCESS:
            _, text = self._driver.cuGetErrorString(result)
            words = text.decode(errors="replace") if text else "unknown"
            raise _driver_error(name, f"{result.name} ({words})")
        return values[0] if values else None

    def make_current(self) -> None:
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, n_bytes: int) -> int:
        return int(self._call("cuMemAlloc", n_bytes))

    def free(self, address: int) -> None:
        self._call("cuMemFree", address)

    def allocate_pinned(self, n_bytes: int) -> Bytes:
        address = int(self._call("cuMemHostAlloc", n_bytes, 0))
        return np.ctypeslib.as_array((ctypes.c_uint8 * n_bytes).from_address(address))

    def free_pinned(self, array: Bytes) -> None:
        self._call("cuMemFreeHost", array.ctypes.data)

    def copy_in(self, address: int, array: Bytes, stream: int) -> None:
        self._call("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, stream)

    def copy_out(self, array: Bytes, address: int, stream: int) -> None:
        self._call("cuMemcpyDtoHAsync", array.ctypes.data, address, array.nbytes, stream)

    def open_stream(self) -> int:
        flags = self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        return int(self._call("cuStreamCreate", int(flags)))

    def close_stream(self, stream: int) -> None:
        self._call("cuStreamDestroy", stream)

    def synchronise(self, stream: int) -> None:
        self._call("cuStreamSynchronize", stream)

    def begin_capture(self, stream: int) -> None:
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", stream, mode)

    def end_capture(self, stream: int) -> int:
        graph = self._call("cuStreamEndCapture", stream)
        try:
            return int(self._call("cuGraphInstantiate", graph, 0))
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, graph: int, stream: int) -> None:
        self._call("cuGraphLaunch", graph, stream)

    def close_graph(self, graph: int) -> None:
        self._call("cuGraphExecDestroy", graph)

    def open_event(self) -> int:
        return int(self._call("cuEventCreate", 0))

    def record(self, event: int, stream: int) -> None:
        self._call("cuEventRecord", event, stream)

    def elapsed_ms(self, start: int, end: int) -> float:
        return float(self._call("cuEventElapsedTime", start, end))

    def close_event(self, event: int) -> None:
        self._call("cuEventDestroy", event)

    def close(self) -> None:
        if self._context is not None:
            self._context = None
            self._call("cuDevicePrimaryCtxRelease", self._device)


class PyCuda:
    """`pycuda.driver`, whose objects free what they hold when they are let go.

    It has no CUDA graphs (PyCUDA 2026.1), so batches run step by step.
    """

    name = "pycuda"

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._held: dict[int, Any] = {}
        self._threads: set[int] = set()  # whose stack of contexts has ours on top
        self._call(driver.init)
        self._device = self._call(driver.Device, 0)
        self._context: Any = self._call(self._device.retain_primary_context)
        self.make_current()

    def _call(self, function: Any, *arguments: Any) -> Any:
        """Call the driver. Raises: EngineError."""
        try:
            return function(*arguments)
        except self._driver.Error as error:
            name = getattr(function, "__name__", type(function).__name__)
            raise _driver_error(name, str(error)) from error

    def _hold(self, key: int, held: Any) -> int:
        self._held[key] = held
        return key

    def make_current(self) -> None:
        if threading.get_ident() not in self._threads:
            self._call(self._context.push)
            self._threads.add(threading.get_ident())

    def allocate(self, n_bytes: int) -> int:
        memory = self._call(self._driver.mem_alloc, n_bytes)
        return self._hold(int(memory), memory)

    def free(self, address: int) -> None:
        self._call(self._held.pop(address).free)

    def allocate_pinned(self, n_bytes: int) -> Bytes:
        array: Bytes = self._call(self._driver.pagelocked_empty, n_bytes, np.uint8)
        return array

    def free_pinned(self, array: Bytes) -> None:
        allocation: Any = array.base
        self._call(allocation.free)

    def copy_in(self, address: int, array: Bytes, stream: int) -> None:
        self._call(self._driver.memcpy_htod_async, address, array, self._held[stream])

    def copy_out(self, array: Bytes, address: int, stream: int) -> None:
        self._call(self._driver.memcpy_dtoh_async, array, address, self._held[stream])

    def open_stream(self) -> int:
        stream = self._call(self._driver.Stream)
        return self._hold(int(stream.handle), stream)

    def close_stream(self, stream: int) -> None:
        del self._held[stream]

    def synchronise(self, stream: int) -> None:
        self._call(self._held[stream].synchronize)

    def begin_capture(self, stream: int) -> None:
        raise EngineError("PyCUDA cannot record a CUDA graph", hint="install cuda-python for that")

    def end_capture(self, stream: int) -> int:
        raise AssertionError("nothing was recorded")

    def launch(self, graph: int, stream: int) -> None:
        raise AssertionError("nothing was recorded")

    def close_graph(self, graph: int) -> None:
        raise AssertionError("nothing was recorded")

    def open_event(self) -> int:
        event = self._call(self._driver.Event)
        return self._hold(id(event), event)

    def record(self, event: int, stream: int) -> None:
        self._call(self._held[event].record, self._held[stream])

    def elapsed_ms(self, start: int, end: int) -> float:
        return float(self._call(self._held[start].time_till, self._held[end]))

    def close_event(self, event: int) -> None:
        del self._held[event]

    def close(self) -> None:
        """Let the context go, in a thread that made it current."""
        if self._context is not None:
            context, self._context = self._context, None
            try:
                self._call(context.pop)
            finally:
                self._call(context.detach)
