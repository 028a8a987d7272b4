"""NVIDIA's management library, a stand-in for it."""

from __future__ import annotations

from typing import Any

from edgeinspect.bench.nvml import open_nvml


class FakeLibrary:
    """Answers as the C functions do: 0, and a value through the last argument."""

    def __init__(self, *, fails: bool = False) -> None:
        self._fails, self.is_open = fails, False

    def nvmlInit_v2(self) -> int:  # noqa: N802 (the library's name)
        self.is_open = not self._fails
        return int(self._fails)

    def nvmlShutdown(self) -> int:  # noqa: N802 (the library's name)
        self.is_open = False
        return 0

    def __getattr__(self, name: str) -> Any:
        values = {
            "nvmlDeviceGetHandleByIndex_v2": 7,
            "nvmlDeviceGetClockInfo": 1410,
            "nvmlDeviceGetTemperature": 61,
            "nvmlDeviceGetEnforcedPowerLimit": 350_000,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0x1 | 0x4 | 0x20,
            "nvmlDeviceGetTotalEnergyConsumption": 2500,
        }
        value = values[name]

        def answer(*arguments: Any) -> int:
            arguments[-1]._obj.value = value
            return 0

        return answer


def test_clock_temperature_reasons_and_energy_are_read() -> None:
    library = FakeLibrary()
    with open_nvml(lambda: library) as nvml:
        assert nvml is not None
        state = nvml.state()
        assert (state.clock_mhz, state.temperature_c, state.power_limit_w) == (1410, 61, 350.0)
        assert state.throttled_by == ("power limit", "temperature")
        assert nvml.energy_joules() == 2.5
        assert library.is_open
    assert not library.is_open


def test_without_a_library_or_a_gpu_there_is_none() -> None:
    def missing() -> Any:
        raise OSError("libnvidia-ml.so.1")

    with open_nvml(missing) as nvml:
        assert nvml is None
    with open_nvml(lambda: FakeLibrary(fails=True)) as nvml:
        assert nvml is None
