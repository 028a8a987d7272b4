"""A CUDA driver in NumPy that is as strict as a debugger.

What a stream is given runs only when it is synchronised, so a host array that is read or changed
too early is wrong here, too. Freeing twice, using what was freed, allocating while a stream
records, and whatever is still held at the end are assertions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgeinspect.errors import EngineError

Bytes = NDArray[np.uint8]
Work = Callable[[], None]

STALE = 0xA5  # what memory holds before anything was written


@dataclass
class FakeDriver:
    """`CudaDriver` on the CPU; `calls` lists what allocates or waits, in order."""

    name: str = "fake"
    refuses_capture: bool = False
    has_graphs: bool = True
    memory: dict[int, Bytes] = field(default_factory=dict)
    pinned: dict[int, Bytes] = field(default_factory=dict)
    queues: dict[int, list[Work]] = field(default_factory=dict)
    records: dict[int, list[Work]] = field(default_factory=dict)
    graphs: dict[int, list[Work]] = field(default_factory=dict)
    events: set[int] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    n_bytes_out: int = 0
    is_closed: bool = False

    def __post_init__(self) -> None:
        self._handles = itertools.count(1)
        self._addresses = itertools.count(1 << 32, 1 << 28)

    def make_current(self) -> None:
        self._use()

    def allocate(self, n_bytes: int) -> int:
        self._allocates("allocate")
        assert n_bytes > 0
        address = next(self._addresses)
        self.memory[address] = np.full(n_bytes, STALE, np.uint8)
        return address

    def free(self, address: int) -> None:
        self._allocates("free")
        assert not any(self.queues.values()), "memory is freed while work is under way"
        assert address in self.memory, "device memory is freed twice"
        del self.memory[address]

    def allocate_pinned(self, n_bytes: int) -> Bytes:
        self._allocates("allocate_pinned")
        array = np.full(n_bytes, STALE, np.uint8)
        self.pinned[array.ctypes.data] = array
        return array

    def free_pinned(self, array: Bytes) -> None:
        self._allocates("free_pinned")
        assert array.ctypes.data in self.pinned, "pinned memory is freed twice"
        del self.pinned[array.ctypes.data]

    def copy_in(self, address: int, array: Bytes, stream: int) -> None:
        self._require_pinned(array)
        self._give(stream, lambda: self.write(address, array))

    def copy_out(self, array: Bytes, address: int, stream: int) -> None:
        self._require_pinned(array)

        def copy() -> None:
            self._require_pinned(array)
            array[:] = self.read(address, array.nbytes)
            self.n_bytes_out += array.nbytes

        self._give(stream, copy)

    def open_stream(self) -> int:
        self._allocates("open_stream")
        stream = next(self._handles)
        self.queues[stream] = []
        return stream

    def close_stream(self, stream: int) -> None:
        self._use()
        assert not self.queues.pop(stream), "a stream is closed while work is under way"

    def synchronise(self, stream: int) -> None:
        self._use()
        assert stream not in self.records, "a stream that records cannot be waited for"
        self.calls.append("synchronise")
        work, self.queues[stream] = self.queues[stream], []
        for step in work:
            step()

    def begin_capture(self, stream: int) -> None:
        self._use()
        if not self.has_graphs:
            raise EngineError("the binding cannot record a CUDA graph")
        assert not self.queues[stream], "recording begins while work is under way"
        self.records[stream] = []

    def end_capture(self, stream: int) -> int:
        self.calls.append("end_capture")
        recorded = self.records.pop(stream)
        if self.refuses_capture:
            raise EngineError("the CUDA driver failed in cuStreamEndCapture: invalidated")
        graph = next(self._handles)
        self.graphs[graph] = recorded
        return graph

    def launch(self, graph: int, stream: int) -> None:
        assert graph in self.graphs, "a graph is launched after it was closed"
        for step in self.graphs[graph]:
            self._give(stream, step)

    def close_graph(self, graph: int) -> None:
        self._use()
        assert graph in self.graphs, "a graph is closed twice"
        del self.graphs[graph]

    def open_event(self) -> int:
        self._allocates("open_event")
        event = next(self._handles)
        self.events.add(event)
        return event

    def record(self, event: int, stream: int) -> None:
        assert event in self.events, "an event is used after it was closed"
        self._give(stream, lambda: None)

    def elapsed_ms(self, start: int, end: int) -> float:
        assert {start, end} <= self.events, "an event is used after it was closed"
        assert not any(self.queues.values()), "events are read before they have passed"
        return 1.0

    def close_event(self, event: int) -> None:
        self.events.remove(event)

    def close(self) -> None:
        self.is_closed = True

    def give(self, stream: int, work: Work) -> None:
        """What a kernel is: run in the stream's order."""
        self._give(stream, work)

    def read(self, address: int, n_bytes: int) -> Bytes:
        """Device memory from an address on, which may lie inside an allocation."""
        start, memory = self._find(address)
        assert start + n_bytes <= memory.nbytes, "a copy runs over the end of its memory"
        return memory[start : start + n_bytes]

    def write(self, address: int, array: Bytes) -> None:
        self.read(address, array.nbytes)[:] = array

    def assert_nothing_is_held(self) -> None:
        held = {
            "device memory": self.memory,
            "pinned memory": self.pinned,
            "streams": self.queues,
            "graphs": self.graphs,
            "events": self.events,
        }
        assert not {name: len(what) for name, what in held.items() if what}

    def _find(self, address: int) -> tuple[int, Bytes]:
        for first, memory in self.memory.items():
            if first <= address < first + memory.nbytes:
                return address - first, memory
        raise AssertionError("device memory is used after it was freed")

    def _give(self, stream: int, work: Work) -> None:
        self._use()
        self.records.get(stream, self.queues[stream]).append(work)

    def _require_pinned(self, array: Bytes) -> None:
        first = array.ctypes.data
        assert any(
            start <= first and first + array.nbytes <= start + whole.nbytes
            for start, whole in self.pinned.items()
        ), "host memory of a copy is not pinned, or was freed"

    def _allocates(self, call: str) -> None:
        self._use()
        assert not self.records, f"{call} while a stream records"
        self.calls.append(call)

    def _use(self) -> None:
        assert not self.is_closed, "the driver is used after it was closed"
