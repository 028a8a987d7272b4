"""Energy of inference where the box tells it: RAPL of the CPU, NVML of the GPU, a Jetson's rails.

A meter counts joules from when it was made. What it counts is the whole package or board: what
else runs on the machine is in it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeinspect.bench.nvml import Nvml

__all__ = ["Energy", "Meter", "NvmlMeter", "RaplMeter", "TegrastatsMeter", "find_meters"]

POWERCAP = Path("sys/class/powercap")
INTERVAL_MS = 100  # of tegrastats
_RAIL = re.compile(r"(VDD_IN|POM_5V_IN|VIN_SYS_5V0) (\d+)(?:mW)?/")  # of the whole board, by board
MEASURE_S = 1.0


class Meter(Protocol):
    """Something that counts energy."""

    name: str

    def joules(self) -> float:
        """Since it was made."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Joules of `n_images`, of all meters, which `source` names."""

    source: str
    joules: float
    n_images: int

    @property
    def images_per_joule(self) -> float:
        return self.n_images / self.joules

    @classmethod
    def measure(
        cls,
        run: Callable[[], object],
        batch: int,
        meters: Sequence[Meter],
        *,
        for_s: float = MEASURE_S,
    ) -> Energy | None:
        """Call for a while; None without meters, or if they counted nothing."""
        if not meters:
            return None
        before = sum(meter.joules() for meter in meters)
        n_calls, end = 0, time.perf_counter() + for_s
        while not n_calls or time.perf_counter() < end:
            run()
            n_calls += 1
        joules = sum(meter.joules() for meter in meters) - before
        if joules <= 0:
            return None
        names = " + ".join(meter.name for meter in meters)
        return cls(source=names, joules=joules, n_images=n_calls * batch)


class RaplMeter:
    """All packages of the CPU; the counter of each starts again at its range."""

    name = "CPU package (RAPL)"

    def __init__(self, zones: Sequence[Path]) -> None:
        """`zones` are folders with energy_uj that may be read. Raises: OSError, ValueError."""
        self._zones = [
            (zone / "energy_uj", _number(zone / "max_energy_range_uj")) for zone in zones
        ]
        self._last = [_number(file) for file, _ in self._zones]
        self._total = 0

    def joules(self) -> float:
        for i, (file, span) in enumerate(self._zones):
            now = _number(file)
            self._total += (now - self._last[i]) % (span + 1)
            self._last[i] = now
        return self._total / 1e6

    def close(self) -> None:
        """Nothing is held."""


class NvmlMeter:
    """The GPU's own counter."""

    name = "GPU (NVML)"

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._first = nvml.energy_joules() or 0.0

    def joules(self) -> float:
        return (self._nvml.energy_joules() or 0.0) - self._first

    def close(self) -> None:
        """The library belongs to who opened it."""


class TegrastatsMeter:
    """A Jetson's whole board, from the lines of its `tegrastats`: power times time."""

    name = "board (tegrastats)"

    def __init__(self, lines: Iterable[str], close: Callable[[], object]) -> None:
        """`lines` come every `INTERVAL_MS`; reading ends with them."""
        self._joules = 0.0
        self._close = close
        self._reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._reader.start()

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            found = _RAIL.search(line)
            if found is not None:
                self._joules += int(found[2]) / 1e3 * INTERVAL_MS / 1e3

    def joules(self) -> float:
        return self._joules

    def close(self) -> None:
        self._close()
        self._reader.join()


def find_meters(nvml: Nvml | None, root: Path = Path("/")) -> tuple[list[Meter], list[str]]:
    """The meters of this box, and sentences about those that cannot be read."""
    if shutil.which("tegrastats"):
        return [_start_tegrastats()], []
    meters: list[Meter] = []
    notes = []
    zones = sorted((root / POWERCAP).glob("intel-rapl:[0-9]"))
    try:
        if zones:
            meters.append(RaplMeter(zones))
    except (OSError, ValueError):
        notes.append("the CPU's energy is for root alone (RAPL)")
    if nvml is not None and nvml.energy_joules() is not None:
        meters.append(NvmlMeter(nvml))
    if not meters and not notes:
        notes.append("this machine does not tell its energy")
    return meters, notes


def _start_tegrastats() -> TegrastatsMeter:
    process = subprocess.Popen(
        ["tegrastats", "--interval", str(INTERVAL_MS)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return TegrastatsMeter(process.stdout, process.terminate)


def _number(file: Path) -> int:
    return int(file.read_text())
