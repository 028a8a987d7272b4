"""The CUDA driver's two bindings: what they are called with, and what their errors become."""

from __future__ import annotations

import ctypes
import enum
import sys
import types
from typing import Any

import numpy as np
import pytest
from cuda.bindings import driver as real

from edgeinspect.errors import EngineError, MissingPackageError
from edgeinspect.jetson import Jetson
from edgeinspect.runtime import cuda
from edgeinspect.runtime.cuda import CudaPython, PyCuda, open_driver

STREAM, GRAPH, EXECUTABLE, EVENT, MEMORY = 71, 72, 73, 74, 0x7000


class FakeBinding:
    """`cuda.bindings.driver` with the real enumerations, and functions that note their call."""

    CUresult = real.CUresult
    CUstream_flags = real.CUstream_flags
    CUstreamCaptureMode = real.CUstreamCaptureMode

    def __init__(self, **failures: enum.IntEnum | Exception) -> None:
        self.failures = failures
        self.calls: list[tuple[Any, ...]] = []
        self.page = (ctypes.c_uint8 * 64)()

    def __getattr__(self, name: str) -> Any:
        assert hasattr(real, name), f"cuda.bindings has no {name}"
        values = {
            "cuGetErrorString": b"in words",
            "cuDeviceGet": 0,
            "cuDevicePrimaryCtxRetain": "context",
            "cuMemAlloc": real.CUdeviceptr(MEMORY),
            "cuMemHostAlloc": ctypes.addressof(self.page),
            "cuStreamCreate": real.CUstream(STREAM),
            "cuStreamEndCapture": GRAPH,
            "cuGraphInstantiate": real.CUgraphExec(EXECUTABLE),
            "cuEventCreate": real.CUevent(EVENT),
            "cuEventElapsedTime": 2.5,
        }

        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append((name, *arguments))
            result = self.failures.get(name, real.CUresult.CUDA_SUCCESS)
            if isinstance(result, Exception):
                raise result
            return (result, values[name]) if name in values else (result,)

        return call


class PyCudaError(Exception):
    pass


def fake_pycuda(calls: list[tuple[Any, ...]]) -> Any:
    """`pycuda.driver` with what PyCUDA 2026.1 has and nothing else, noting what is called."""

    def note(name: str, answer: Any = None) -> Any:
        def call(*arguments: Any) -> Any:
            calls.append((name, *arguments))
            return answer

        call.__name__ = name
        return call

    class Held:
        def __init__(self, number: int, **methods: Any) -> None:
            self.handle = number
            self.number = number
            self.__dict__.update(methods)

        def __int__(self) -> int:
            return self.number

    stream = Held(STREAM, synchronize=note("synchronize"))
    context = Held(0, push=note("push"), pop=note("pop"), detach=note("detach"))
    device = Held(
        0,
        retain_primary_context=note("retain_primary_context", context),
    )
    event = Held(EVENT, record=note("record"), time_till=note("time_till", 2.5))
    return types.SimpleNamespace(
        Error=PyCudaError,
        init=note("init"),
        Device=note("Device", device),
        Stream=note("Stream", stream),
        Event=note("Event", event),
        mem_alloc=note("mem_alloc", Held(MEMORY, free=note("free"))),
        pagelocked_empty=note("pagelocked_empty", np.zeros(64, np.uint8)),
        memcpy_htod_async=note("memcpy_htod_async"),
        memcpy_dtoh_async=note("memcpy_dtoh_async"),
    )


def test_cuda_python_copies_by_address_and_length() -> None:
    binding = FakeBinding()
    driver = CudaPython(binding)
    memory, pinned, stream = driver.allocate(64), driver.allocate_pinned(64), driver.open_stream()
    driver.copy_in(memory, pinned[:16], stream)
    driver.copy_out(pinned[8:24], memory + 32, stream)
    address = ctypes.addressof(binding.page)
    assert binding.calls[-2:] == [
        ("cuMemcpyHtoDAsync", MEMORY, address, 16, STREAM),
        ("cuMemcpyDtoHAsync", address + 8, MEMORY + 32, 16, STREAM),
    ]


def test_cuda_python_gives_pinned_memory_as_an_array_and_takes_it_back() -> None:
    binding = FakeBinding()
    driver = CudaPython(binding)
    pinned = driver.allocate_pinned(64)
    pinned[3] = 7
    assert binding.page[3] == 7
    driver.free_pinned(pinned)
    assert binding.calls[-1] == ("cuMemFreeHost", ctypes.addressof(binding.page))


def test_cuda_python_keeps_the_executable_graph_alone() -> None:
    binding = FakeBinding()
    driver = CudaPython(binding)
    driver.begin_capture(STREAM)
    graph = driver.end_capture(STREAM)
    driver.launch(graph, STREAM)
    driver.close_graph(graph)
    mode = real.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    assert binding.calls[-6:] == [
        ("cuStreamBeginCapture", STREAM, mode),
        ("cuStreamEndCapture", STREAM),
        ("cuGraphInstantiate", GRAPH, 0),
        ("cuGraphDestroy", GRAPH),
        ("cuGraphLaunch", EXECUTABLE, STREAM),
        ("cuGraphExecDestroy", EXECUTABLE),
    ]


def test_cuda_python_measures_between_two_events() -> None:
    driver = CudaPython(FakeBinding())
    start, end = driver.open_event(), driver.open_event()
    driver.record(start, STREAM)
    assert driver.elapsed_ms(start, end) == 2.5


def test_cuda_python_lets_the_context_go_once() -> None:
    binding = FakeBinding()
    driver = CudaPython(binding)
    driver.close()
    driver.close()
    assert [name for name, *_ in binding.calls].count("cuDevicePrimaryCtxRelease") == 1


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (real.CUresult.CUDA_ERROR_OUT_OF_MEMORY, r"CUDA_ERROR_OUT_OF_MEMORY .* smaller --batch"),
        (real.CUresult.CUDA_ERROR_ILLEGAL_ADDRESS, r"CUDA_ERROR_ILLEGAL_ADDRESS .* start again"),
        (real.CUresult.CUDA_ERROR_INVALID_VALUE, r"CUDA_ERROR_INVALID_VALUE \(in words\)$"),
    ],
)
def test_an_error_of_the_driver_names_the_call_and_what_to_do(result: Any, words: str) -> None:
    driver = CudaPython(FakeBinding(cuMemAlloc=result))
    with pytest.raises(EngineError, match=f"failed in cuMemAlloc: {words}"):
        driver.allocate(64)


def test_no_gpu_leads_to_the_doctor() -> None:
    binding = FakeBinding(cuInit=real.CUresult.CUDA_ERROR_NO_DEVICE)
    with pytest.raises(EngineError, match=r"CUDA_ERROR_NO_DEVICE .* edgeinspect doctor"):
        CudaPython(binding)


def test_pycuda_makes_its_context_current_once_a_thread() -> None:
    calls: list[tuple[Any, ...]] = []
    driver = PyCuda(fake_pycuda(calls))
    assert calls[-1] == ("push",)
    driver.make_current()
    assert [name for name, *_ in calls].count("push") == 1
    driver.close()
    driver.close()
    assert calls[-2:] == [("pop",), ("detach",)]


def test_pycuda_copies_slices_of_arrays_in_its_own_stream() -> None:
    calls: list[tuple[Any, ...]] = []
    driver = PyCuda(fake_pycuda(calls))
    memory, pinned, stream = driver.allocate(64), driver.allocate_pinned(64), driver.open_stream()
    driver.copy_in(memory, pinned[:16], stream)
    driver.copy_out(pinned[8:24], memory + 32, stream)
    (into, into_address, source, into_stream), (out, target, out_address, _) = calls[-2:]
    assert (into, into_address, source.nbytes) == ("memcpy_htod_async", MEMORY, 16)
    assert (out, target.nbytes, out_address) == ("memcpy_dtoh_async", 16, MEMORY + 32)
    assert int(into_stream) == stream == STREAM


def test_pycuda_says_that_it_records_no_graphs() -> None:
    driver = PyCuda(fake_pycuda([]))
    with pytest.raises(EngineError, match=r"PyCUDA cannot record a CUDA graph; .*cuda-python"):
        driver.begin_capture(driver.open_stream())


def test_pycuda_measures_between_two_events() -> None:
    driver = PyCuda(fake_pycuda([]))
    stream, start, end = driver.open_stream(), driver.open_event(), driver.open_event()
    driver.record(start, stream)
    driver.record(end, stream)
    assert driver.elapsed_ms(start, end) == 2.5


def test_an_error_of_pycuda_names_the_call_and_what_to_do() -> None:
    module = fake_pycuda([])

    def mem_alloc(n_bytes: int) -> None:
        raise PyCudaError("cuMemAlloc failed: out of memory")

    module.mem_alloc = mem_alloc
    with pytest.raises(EngineError, match=r"failed in mem_alloc: .*out of memory; .*--batch"):
        PyCuda(module).allocate(64)


def test_cuda_python_comes_first_where_both_are_installed(monkeypatch: Any) -> None:
    binding = FakeBinding()
    monkeypatch.setattr(cuda, "_import_binding", {"cuda-python": binding, "pycuda": 1}.get)
    assert open_driver().name == "cuda-python"


def test_pycuda_stands_in_where_cuda_python_is_not_installed(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    monkeypatch.setitem(sys.modules, "pycuda", types.ModuleType("pycuda"))
    monkeypatch.setitem(sys.modules, "pycuda.driver", fake_pycuda([]))
    assert open_driver().name == "pycuda"


def test_without_a_binding_the_extra_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with pytest.raises(MissingPackageError, match=r"cuda-python.*edgeinspect\[tensorrt\]"):
        open_driver()
    with pytest.raises(MissingPackageError, match=r"pycuda.*edgeinspect\[pycuda\]"):
        open_driver("pycuda")


def test_on_a_jetson_the_extra_is_not_named_which_would_bring_another_tensorrt(
    monkeypatch: Any,
) -> None:
    orin = Jetson(board="Orin", l4t="38.2", jetpack=7, power_mode=None, clocks=())
    monkeypatch.setattr(cuda, "read_jetson", lambda: orin)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with pytest.raises(EngineError, match=r'cuda-python.*pip install "cuda-python~=13.0"'):
        open_driver()


def test_without_a_driver_the_error_says_so(monkeypatch: Any) -> None:
    binding = FakeBinding(cuInit=RuntimeError('"cuda" is not in the system search\nmore'))
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", binding)
    with pytest.raises(EngineError, match=r"there is no NVIDIA driver: .*system search; run"):
        open_driver()
