"""Engines of TensorRT and TensorRT-RTX: the fastest runtime on an NVIDIA GPU.

All that a batch needs is made when the session is opened: pinned host buffers, device buffers,
one stream, the rule constants on the device. The first batch of each size is also recorded as a
CUDA graph, its transfers inside; from the second on a batch is one launch and one wait. Maps stay
on the device unless they are wanted.

Each batch size has an execution context of its own, because a recorded graph is tied to the
shapes of its context; all of them share one piece of device memory, since they never run at once.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.constants import RuleConstants
from edgeinspect.engines import VERSION_COMPATIBLE, Receipt
from edgeinspect.errors import EngineError
from edgeinspect.runtime.cuda import CudaDriver, open_driver
from edgeinspect.runtime.engine_io import check_constants, read_tensors
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
from edgeinspect.tensorrt_adapter import deserialise_engine, find_tensorrt, recent_reason

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["TensorRtSession", "open_plan"]

_log = logging.getLogger(__name__)

Bytes = NDArray[np.uint8]

_MAP = "anomaly_map"


def open_plan(plan: bytes, receipt: Receipt, constants: RuleConstants) -> TensorRtSession:
    """Open an engine by its plan, on the first GPU.

    Raises: EngineError in TensorRT's words if the plan is of another version or GPU, or what a
        session raises; MissingPackageError.
    """
    trt = find_tensorrt(receipt.key.flavour).module
    driver = open_driver()
    with contextlib.ExitStack() as undo:
        undo.callback(driver.close)
        is_compatible = VERSION_COMPATIBLE in receipt.key.flags
        engine = deserialise_engine(trt, plan, is_version_compatible=is_compatible)
        undo.pop_all()
    return TensorRtSession(trt, engine, constants, driver=driver, receipt=receipt)


@dataclass(slots=True, kw_only=True)
class _Buffer:
    """Device memory at `address`, its pinned counterpart, and that seen as an array."""

    address: int
    pinned: Bytes
    array: NDArray[Any]


@dataclass(slots=True, kw_only=True)
class _Lane:
    """One batch size: its context, and its graph once that is recorded."""

    context: Any
    graph: int | None = None


class TensorRtSession:
    """An engine with its constants bound (`Session`), used in the thread that opened it.

    A batch smaller than the smallest that the engine takes is filled up with its last image.
    """

    def __init__(
        self,
        trt: ModuleType,
        engine: trt.ICudaEngine,
        constants: RuleConstants,
        *,
        driver: CudaDriver,
        receipt: Receipt | None = None,
    ) -> None:
        """Allocate all that batches need.

        Args:
            trt: TensorRT's module. driver: is closed with the session, or by an error here.
            receipt: of the engine, for its names.
        Raises: EngineError if the engine is not of this graph, the constants do not fit it, or
            the GPU has too little memory.
        """
        self.name = "tensorrt" if receipt is None else receipt.key.flavour
        self.precision = None if receipt is None else receipt.key.precision
        self.engine = None if receipt is None else receipt.fingerprint
        self._trt, self._driver = trt, driver
        self._engine: Any = engine
        self._thread = threading.get_ident()
        self._lanes: dict[int, _Lane] = {}
        with contextlib.ExitStack() as stack:
            stack.callback(driver.close)
            self._tensors = read_tensors(trt, engine)
            self._constants = constants.as_inputs()
            check_constants(self._tensors, self._constants)
            image = self._tensors["image"]
            self._size = (image.shape[1], image.shape[2])
            self._smallest, self.max_batch = image.smallest, image.largest
            self._n_tiles = constants.n_tiles
            self._stream = driver.open_stream()
            stack.callback(driver.close_stream, self._stream)
            self._upload_constants(stack)
            self._buffers = {name: self._buffer(name, stack) for name in (*BATCHED, *OUTPUTS)}
            self._scratch_bytes = max(1, int(engine.device_memory_size_v2))
            self._scratch = self._device_memory(self._scratch_bytes, stack)
            stack.callback(self._close_lanes)
            self._resources: contextlib.ExitStack | None = stack.pop_all()

    def infer(self, images: Images, tile: Ints, *, map_above: float | None = None) -> Scores:
        """See `Session.infer`. Raises: EngineError."""
        self._check_use()
        check_images(images, self._size)
        check_tile(tile, len(images), self._n_tiles)
        n = len(images)
        if n > self.max_batch:
            raise EngineError(
                f"a batch of {n} images, the engine takes {self._smallest} to {self.max_batch}",
                hint=f"use a smaller --batch, or build one with --batch 1,{n}",
            )
        for name, given in (("image", images), ("tile", tile)):
            array = self._buffers[name].array
            array[:n] = given
            array[n : self._smallest] = given[-1]
        self._run(max(n, self._smallest), with_maps=map_above is None)
        scores = {name: self._buffers[name].array[:n].copy() for name in OUTPUTS if name != _MAP}
        has_map = np.ones(n, np.bool_) if map_above is None else scores["score"] > map_above
        return Scores(anomaly_map=self._maps(has_map, map_above), has_map=has_map, **scores)

    def device_ms(self, n_images: int, n_times: int) -> list[float]:
        """Times on the GPU alone of the last batch of that size, run again; for benchmarks."""
        self._check_use()
        driver, stream = self._driver, self._stream
        start, end = driver.open_event(), driver.open_event()
        try:
            times = []
            for _ in range(n_times):
                driver.record(start, stream)
                self._start(n_images)
                driver.record(end, stream)
                driver.synchronise(stream)
                times.append(driver.elapsed_ms(start, end))
            return times
        finally:
            driver.close_event(start)
            driver.close_event(end)

    def device_times(self, n_images: int, n_times: int) -> list[DeviceTimes]:
        """See `TimedSession.device_times`: with an event between the steps, so without a graph."""
        self._check_use()
        steps = (self._copy_in_all, self._execute, self._copy_out_scores)
        with contextlib.ExitStack() as stack:
            events = [self._driver.open_event() for _ in range(len(steps) + 1)]
            for event in events:
                stack.callback(self._driver.close_event, event)
            return [self._time_steps(steps, events, n_images) for _ in range(n_times)]

    def _time_steps(
        self, steps: tuple[Callable[[int], None], ...], events: list[int], n: int
    ) -> DeviceTimes:
        driver = self._driver
        driver.record(events[0], self._stream)
        for step, event in zip(steps, events[1:], strict=True):
            step(n)
            driver.record(event, self._stream)
        driver.synchronise(self._stream)
        times = [driver.elapsed_ms(*pair) for pair in itertools.pairwise(events)]
        return DeviceTimes(copy_in_ms=times[0], compute_ms=times[1], copy_out_ms=times[2])

    def _run(self, n: int, *, with_maps: bool) -> None:
        """Run a batch that lies in the pinned buffers, and wait for it."""
        is_new = n not in self._lanes
        self._start(n)
        if with_maps:
            self._copy_out(_MAP, 0, n)
        self._driver.synchronise(self._stream)
        if is_new:
            self._lanes[n].graph = self._record(n)

    def _start(self, n: int) -> None:
        """Launch a batch's graph, or its steps one by one the first time."""
        if n not in self._lanes:
            self._lanes[n] = _Lane(context=self._context(n))
        graph = self._lanes[n].graph
        if graph is None:
            self._enqueue(n)
        else:
            self._driver.launch(graph, self._stream)

    def _enqueue(self, n: int) -> None:
        """Images in, engine, scores out, in the stream's order."""
        self._copy_in_all(n)
        self._execute(n)
        self._copy_out_scores(n)

    def _copy_in_all(self, n: int) -> None:
        for name in BATCHED:
            buffer, n_bytes = self._buffers[name], self._tensors[name].bytes_of(n)
            self._driver.copy_in(buffer.address, buffer.pinned[:n_bytes], self._stream)

    def _execute(self, n: int) -> None:
        if not _execute(self._lanes[n].context, self._stream):
            raise self._failure("run a batch")

    def _copy_out_scores(self, n: int) -> None:
        for name in OUTPUTS:
            if name != _MAP:
                self._copy_out(name, 0, n)

    def _copy_out(self, name: str, first: int, n: int) -> None:
        buffer, tensor = self._buffers[name], self._tensors[name]
        start, end = tensor.bytes_of(first), tensor.bytes_of(first + n)
        self._driver.copy_out(buffer.pinned[start:end], buffer.address + start, self._stream)

    def _record(self, n: int) -> int | None:
        """The graph of a batch that has run once; None, told once, where that cannot be."""
        context = self._lanes[n].context
        try:
            if not _is_capturable(context, self._stream):
                raise EngineError(f"{self.name} has kernels that cannot be recorded")
            self._driver.begin_capture(self._stream)
            try:
                self._enqueue(n)
            except EngineError:
                with contextlib.suppress(EngineError):
                    self._driver.close_graph(self._driver.end_capture(self._stream))
                raise
            return self._driver.end_capture(self._stream)
        except EngineError as error:
            _log.warning("batches of %d run without a CUDA graph, so slower: %s", n, error)
            return None

    def _maps(self, has_map: NDArray[np.bool_], map_above: float | None) -> NDArray[np.float32]:
        """Maps (n, H, W) of a batch that has run, 0 where none is wanted."""
        array: NDArray[np.float32] = self._buffers[_MAP].array[: len(has_map)]
        maps = array.copy() if map_above is None else np.zeros(array.shape, np.float32)
        if map_above is not None and has_map.any():
            for i in np.flatnonzero(has_map):
                self._copy_out(_MAP, int(i), 1)
            self._driver.synchronise(self._stream)
            maps[has_map] = array[has_map]
        return maps

    def _context(self, n: int) -> trt.IExecutionContext:
        """A context for batches of n, with all addresses and shapes set."""
        strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = _create_context(self._engine, strategy)
        if context is None:
            raise self._failure("make an execution context")
        shapes = {name: (n, *self._tensors[name].shape[1:]) for name in BATCHED}
        shapes |= {name: array.shape for name, array in self._constants.items()}
        addresses = {name: buffer.address for name, buffer in self._buffers.items()}
        addresses |= self._constant_addresses
        context.set_device_memory(self._scratch, self._scratch_bytes)
        if not _bind(context, shapes, addresses):
            raise self._failure(f"take a batch of {n}")
        return context

    def _upload_constants(self, stack: contextlib.ExitStack) -> None:
        self._constant_addresses = {}
        for name, array in self._constants.items():
            data = array.reshape(-1).view(np.uint8)
            address = self._device_memory(data.nbytes, stack)
            self._constant_addresses[name] = address
            pinned = self._driver.allocate_pinned(data.nbytes)
            try:
                pinned[:] = data
                self._driver.copy_in(address, pinned, self._stream)
                self._driver.synchronise(self._stream)
            finally:
                self._driver.free_pinned(pinned)

    def _buffer(self, name: str, stack: contextlib.ExitStack) -> _Buffer:
        """Buffers of a tensor at the largest batch."""
        tensor = self._tensors[name]
        n_bytes = tensor.bytes_of(self.max_batch)
        address = self._device_memory(n_bytes, stack)
        pinned = self._driver.allocate_pinned(n_bytes)
        stack.callback(self._driver.free_pinned, pinned)
        array = pinned.view(tensor.dtype).reshape(self.max_batch, *tensor.shape[1:])
        return _Buffer(address=address, pinned=pinned, array=array)

    def _device_memory(self, n_bytes: int, stack: contextlib.ExitStack) -> int:
        address = self._driver.allocate(n_bytes)
        stack.callback(self._driver.free, address)
        return address

    def _failure(self, what: str) -> EngineError:
        why = recent_reason(self._trt) or "it does not say why"
        return EngineError(f"{self.name} cannot {what}: {why}", hint="run: edgeinspect doctor")

    def _check_use(self) -> None:
        if self._resources is None:
            raise EngineError("the session is closed", hint="use it inside its `with`")
        check_thread(self._thread)

    def _close_lanes(self) -> None:
        """Wait for what is under way, and let TensorRT's objects go while there is a context."""
        with contextlib.suppress(EngineError):  # a context that is lost cannot be waited for
            self._driver.synchronise(self._stream)
        try:
            for lane in self._lanes.values():
                if lane.graph is not None:
                    self._driver.close_graph(lane.graph)
        finally:
            self._lanes.clear()
            self._engine = None

    def close(self) -> None:
        """Free everything, in any thread; a second time does nothing."""
        if self._resources is not None:
            resources, self._resources = self._resources, None
            with resources:  # also where the context is lost: then it must go to be made anew
                self._driver.make_current()

    def __enter__(self) -> TensorRtSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _create_context(engine: trt.ICudaEngine, strategy: Any) -> trt.IExecutionContext:
    return engine.create_execution_context(strategy)


def _bind(
    context: trt.IExecutionContext, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int]
) -> bool:
    """Set all shapes, then all addresses; False if TensorRT refuses one."""
    are_set = [context.set_input_shape(name, shape) for name, shape in shapes.items()]
    are_set += [context.set_tensor_address(name, place) for name, place in addresses.items()]
    return all(are_set)


def _execute(context: trt.IExecutionContext, stream: int) -> bool:
    return bool(context.execute_async_v3(stream))


def _is_capturable(context: trt.IExecutionContext, stream: int) -> bool:
    """TensorRT-RTX knows, the others are tried."""
    if hasattr(context, "is_stream_capturable"):
        return bool(context.is_stream_capturable(stream))
    return True
