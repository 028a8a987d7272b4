"""NVIDIA's management library, asked through ctypes: clocks, temperature, throttling, energy.

It comes with the driver, so no package is needed. A Jetson has none; there files and `tegrastats`
say the same (`machine.py`, `energy.py`).
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["GpuState", "Nvml", "open_nvml"]

LIBRARY = "libnvidia-ml.so.1"
_SM_CLOCK, _GPU_TEMPERATURE = 1, 0  # NVML_CLOCK_SM, NVML_TEMPERATURE_GPU
_REASONS = {  # nvmlClocksThrottleReason*; idle and clocks set by the user are none
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x20: "temperature",
    0x40: "temperature (hardware)",
    0x80: "power brake",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """A GPU at one moment; None for what it does not tell."""

    clock_mhz: int | None
    temperature_c: int | None
    power_limit_w: float | None
    throttled_by: tuple[str, ...]


class Nvml:
    """The first GPU of an initialised library."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._device = ctypes.c_void_p()
        library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self._device))

    def state(self) -> GpuState:
        milliwatts = self._read("nvmlDeviceGetEnforcedPowerLimit", ctypes.c_uint())
        reasons = self._read("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong())
        return GpuState(
            clock_mhz=self._read("nvmlDeviceGetClockInfo", ctypes.c_uint(), _SM_CLOCK),
            temperature_c=self._read("nvmlDeviceGetTemperature", ctypes.c_uint(), _GPU_TEMPERATURE),
            power_limit_w=None if milliwatts is None else milliwatts / 1e3,
            throttled_by=tuple(word for bit, word in _REASONS.items() if (reasons or 0) & bit),
        )

    def energy_joules(self) -> float | None:
        """Since the driver was loaded; None on GPUs older than Volta."""
        millijoules = self._read("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong())
        return None if millijoules is None else millijoules / 1e3

    def _read(self, name: str, value: Any, *arguments: int) -> int | None:
        call = getattr(self._library, name, None)  # some names are deprecated
        if call is None or call(self._device, *arguments, ctypes.byref(value)):
            return None
        return int(value.value)


@contextlib.contextmanager
def open_nvml(load: Callable[[], Any] | None = None) -> Iterator[Nvml | None]:
    """The library for the first GPU, or None where there is none. `load` is for tests."""
    try:
        library = (load or _load)()
        failed = library.nvmlInit_v2()
    except OSError:
        yield None
        return
    if failed:
        yield None
        return
    try:
        yield Nvml(library)
    finally:
        library.nvmlShutdown()


def _load() -> Any:
    return ctypes.CDLL(LIBRARY)
