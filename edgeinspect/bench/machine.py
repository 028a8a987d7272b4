"""The box that is measured: what it is, and whether it stood still while it was.

`Hardware` is what two reports must share to be compared. `Watch` looks at clocks, temperatures and
load after each round, and says what makes a measurement doubtful.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeinspect.bench.nvml import Nvml
from edgeinspect.doctor import read_machine
from edgeinspect.gpu import read_gpu
from edgeinspect.jetson import read_jetson, text_of

__all__ = ["Hardware", "MachineState", "Watch", "read_hardware", "read_versions"]

PACKAGES = (
    "edgeinspect",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "cuda-python",
    "pycuda",
    "torch",
    "numpy",
    "opencv-python-headless",
)
SLOWER_CLOCK = 0.9  # of the first rounds' clock, from where on it counts as throttling


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The box by what changes speed. `power` is a Jetson's mode and clocks."""

    cpu: str
    cpu_flags: tuple[str, ...]
    n_cores: int
    memory_bytes: int | None
    system: str
    gpu: str | None
    compute_capability: str | None
    jetson: str | None
    power: str | None

    def __str__(self) -> str:
        parts = [f"{self.cpu}, {self.n_cores} core{'s' if self.n_cores > 1 else ''}"]
        parts += [part for part in (self.gpu, self.jetson, self.power) if part]
        return "; ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineState:
    """One look at the box; None for what it does not tell.

    `cpu_governor` is how cpufreq chooses clocks, such as "performance".
    """

    cpu_mhz: float | None
    cpu_temperature_c: float | None
    load: float
    cpu_governor: str | None = None
    gpu_mhz: int | None = None
    gpu_temperature_c: int | None = None
    gpu_power_limit_w: float | None = None
    throttled_by: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)


def read_hardware() -> Hardware:
    machine, gpu = read_machine(), read_gpu()
    return Hardware(
        cpu=machine.cpu,
        cpu_flags=machine.cpu_flags,
        n_cores=machine.n_cores,
        memory_bytes=machine.memory_bytes,
        system=machine.system,
        gpu=None if gpu is None else gpu.name,
        compute_capability=None if gpu is None else gpu.compute_capability,
        jetson=machine.jetson,
        power=machine.power,
    )


def read_versions() -> dict[str, str]:
    """Python, and the packages that are installed of those that change speed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class Watch:
    """Looks at the box from time to time; `root` is where /proc and /sys are looked for."""

    def __init__(self, nvml: Nvml | None, root: Path = Path("/")) -> None:
        self._nvml, self._root = nvml, root
        self.states: list[MachineState] = []
        self.look()

    def look(self) -> None:
        """Note how the box is now."""
        gpu = None if self._nvml is None else self._nvml.state()
        self.states.append(
            MachineState(
                cpu_mhz=_cpu_mhz(self._root),
                cpu_temperature_c=_cpu_temperature_c(self._root),
                load=os.getloadavg()[0],
                cpu_governor=_cpu_governor(self._root),
                gpu_mhz=None if gpu is None else gpu.clock_mhz,
                gpu_temperature_c=None if gpu is None else gpu.temperature_c,
                gpu_power_limit_w=None if gpu is None else gpu.power_limit_w,
                throttled_by=() if gpu is None else gpu.throttled_by,
            )
        )

    def warnings(self, n_cores: int) -> list[str]:
        """Sentences about what makes the measurement doubtful."""
        found = []
        if self.states[0].load > max(0.5, 0.5 * n_cores):
            found.append(
                f"other work kept the machine busy when this began: load"
                f" {self.states[0].load:.1f} on {n_cores} cores"
            )
        reasons = sorted({reason for state in self.states for reason in state.throttled_by})
        if reasons:
            found.append(f"the GPU's clock was held back by {', '.join(reasons)}")
        found += _drops("CPU", [state.cpu_mhz for state in self.states])
        found += _drops("GPU", [state.gpu_mhz for state in self.states])
        jetson = read_jetson(self._root)
        if jetson is not None and not all(clock.is_fixed for clock in jetson.clocks):
            found.append("clocks moved with the load; for steady latency run: sudo jetson_clocks")
        return found


def _drops(name: str, clocks: Sequence[float | None]) -> list[str]:
    """A sentence if a clock fell from the first rounds (after the box woke up) to the last."""
    known = [clock for clock in clocks[1:] if clock is not None]
    if len(known) < 4:
        return []
    half = len(known) // 2
    first, last = float(np.median(known[:half])), float(np.median(known[half:]))
    if last >= SLOWER_CLOCK * first:
        return []
    return [f"the {name}'s clock fell from {first:.0f} to {last:.0f} MHz: it may be throttled"]


def _cpu_mhz(root: Path) -> float | None:
    """Mean of all cores, as cpufreq says it, or /proc/cpuinfo where there is none."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
    clocks = [int(text) / 1e3 for text in map(text_of, files) if text.strip().isdigit()]
    if not clocks:
        clocks = [
            float(v) for v in re.findall(r"cpu MHz\s*: ([\d.]+)", text_of(root / "proc/cpuinfo"))
        ]
    return float(np.mean(clocks)) if clocks else None


def _cpu_governor(root: Path) -> str | None:
    """That of all cores, joined where they differ."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return " and ".join(sorted({text_of(file).strip() for file in files} - {""})) or None


def _cpu_temperature_c(root: Path) -> float | None:
    """The hottest thermal zone."""
    files = (root / "sys/class/thermal").glob("thermal_zone*/temp")
    found = [int(text) / 1e3 for text in map(text_of, files) if text.strip().lstrip("-").isdigit()]
    return max(found) if found else None
