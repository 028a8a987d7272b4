"""The GPU that this process would use, asked of its driver: no package and no context needed.

Engines are built for one compute capability, so building, finding and opening them begin here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Gpu", "driver_cuda", "load_driver", "read_gpu"]

_LIBRARY = "libcuda.so.1"
_NAME_BYTES = 256
_INTEGRATED = 18  # CU_DEVICE_ATTRIBUTE_INTEGRATED and the others, from cuda.h
_MAJOR, _MINOR = 75, 76


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One CUDA device.

    Attributes:
        name: as its driver says it.
        compute_capability: such as "8.7".
        memory_bytes: of the device; shared with the CPU where `is_integrated` (a Jetson).
        cuda: the newest CUDA that the driver serves, as "12.6"; "unknown" if it does not say.
    """

    name: str
    compute_capability: str
    memory_bytes: int
    is_integrated: bool
    cuda: str

    @property
    def target(self) -> str:
        """What engines for it are built for, such as "sm87"."""
        return f"sm{self.compute_capability.replace('.', '')}"


def read_gpu(*, driver: Callable[[], Any] | None = None) -> Gpu | None:
    """The first of the visible CUDA devices, or None where there is none.

    Args:
        driver: gives the driver's library, or None where there is no driver.
    """
    cuda = (driver or load_driver)()
    if cuda is None or cuda.cuInit(0) != 0:
        return None
    count, handle = ctypes.c_int(0), ctypes.c_int(0)
    if cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value < 1:
        return None
    if cuda.cuDeviceGet(ctypes.byref(handle), 0) != 0:
        return None
    return Gpu(
        name=_name(cuda, handle),
        compute_capability=f"{_attribute(cuda, handle, _MAJOR)}.{_attribute(cuda, handle, _MINOR)}",
        memory_bytes=_memory(cuda, handle),
        is_integrated=bool(_attribute(cuda, handle, _INTEGRATED)),
        cuda=_version(cuda) or "unknown",
    )


def driver_cuda(*, driver: Callable[[], Any] | None = None) -> str | None:
    """The newest CUDA that the driver serves, as 12.6; None without a driver."""
    cuda = (driver or load_driver)()
    return None if cuda is None else _version(cuda)


def load_driver() -> Any | None:
    """The driver's library, or None."""
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError:
        return None


def _name(cuda: Any, handle: ctypes.c_int) -> str:
    text = ctypes.create_string_buffer(_NAME_BYTES)
    cuda.cuDeviceGetName(text, _NAME_BYTES, handle)
    return text.value.decode(errors="replace")


def _attribute(cuda: Any, handle: ctypes.c_int, attribute: int) -> int:
    value = ctypes.c_int(0)
    cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle)
    return value.value


def _memory(cuda: Any, handle: ctypes.c_int) -> int:
    n_bytes = ctypes.c_size_t(0)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(n_bytes), handle)
    return n_bytes.value


def _version(cuda: Any) -> str | None:
    value = ctypes.c_int(0)
    if cuda.cuDriverGetVersion(ctypes.byref(value)) != 0:
        return None
    return f"{value.value // 1000}.{value.value % 1000 // 10}"
