"""The GPU as its driver tells it, with drivers of machines we do not have."""

from __future__ import annotations

import ctypes
from typing import Any

from edgeinspect.gpu import driver_cuda, read_gpu

ATTRIBUTES = {18: 1, 75: 8, 76: 7}


class StandInDriver:
    """libcuda of a Jetson Orin; answers go through pointers, as the real one's do."""

    def __init__(self, *, n_devices: int = 1, init: int = 0) -> None:
        self._n_devices, self._init = n_devices, init

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self._init

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self._n_devices
        return 0

    def cuDeviceGet(self, handle: Any, index: int) -> int:  # noqa: N802
        handle._obj.value = index
        return 0

    def cuDeviceGetName(self, text: Any, n: int, handle: ctypes.c_int) -> int:  # noqa: N802
        text.value = b"Orin"
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, handle: Any) -> int:  # noqa: N802
        value._obj.value = ATTRIBUTES[attribute]
        return 0

    def cuDeviceTotalMem_v2(self, n_bytes: Any, handle: Any) -> int:  # noqa: N802
        n_bytes._obj.value = 8 << 30
        return 0

    def cuDriverGetVersion(self, value: Any) -> int:  # noqa: N802
        value._obj.value = 12060
        return 0


def test_name_capability_and_memory_come_from_the_driver():
    gpu = read_gpu(driver=StandInDriver)
    assert gpu is not None
    assert (gpu.name, gpu.compute_capability, gpu.target) == ("Orin", "8.7", "sm87")
    assert (gpu.memory_bytes, gpu.is_integrated, gpu.cuda) == (8 << 30, True, "12.6")


def test_no_driver_is_no_gpu():
    assert read_gpu(driver=lambda: None) is None


def test_a_driver_that_cannot_start_is_no_gpu():
    assert read_gpu(driver=lambda: StandInDriver(init=100)) is None


def test_a_device_that_is_not_visible_is_no_gpu():
    assert read_gpu(driver=lambda: StandInDriver(n_devices=0)) is None


def test_the_drivers_cuda_is_known_without_a_gpu():
    assert driver_cuda(driver=lambda: StandInDriver(n_devices=0)) == "12.6"
    assert driver_cuda(driver=lambda: None) is None


def test_a_driver_that_does_not_tell_its_cuda_still_has_a_gpu():
    class Mute(StandInDriver):
        def cuDriverGetVersion(self, value: Any) -> int:  # noqa: N802
            return 1

    gpu = read_gpu(driver=Mute)
    assert gpu is not None
    assert (gpu.cuda, driver_cuda(driver=Mute)) == ("unknown", None)
