"""What a Jetson says of itself in files: release, board, power mode, clocks, free memory.

Read without root and without NVIDIA's tools. Everything takes the `root` of the file system, so
that the files of a machine at hand can be looked at elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["JETPACK_PACKAGE", "Clock", "Jetson", "free_memory_bytes", "read_jetson", "text_of"]

JETPACK_PACKAGE = "nvidia-jetpack"  # Debian's name of all of it, TensorRT among it
_JETPACK_OF_L4T = {32: 4, 35: 5, 36: 6, 38: 7, 39: 7}  # majors; L4T is the Jetson's Linux release
_L4T_WITH_TENSORRT_10 = (36, 4)  # the first: JetPack 6.1; 6.0 has TensorRT 8.6
_CUDA_OF_JETPACK = {6: "12.6", 7: "13.0"}  # that its cuda-python is for
_GPU_CLOCKS = ("*gpu*", "*ga10b*", "*gv11b*")  # names under /sys/class/devfreq, by kernel
_HZ, _KHZ = 1e6, 1e3  # a MHz in what devfreq and cpufreq count in


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """One clock in MHz: now, and between what it may move."""

    name: str
    now_mhz: int
    min_mhz: int
    max_mhz: int

    @property
    def is_fixed(self) -> bool:
        """As `jetson_clocks` leaves it."""
        return self.min_mhz == self.max_mhz

    def __str__(self) -> str:
        if self.is_fixed:
            return f"{self.name} fixed at {self.max_mhz} MHz"
        return f"{self.name} {self.min_mhz} to {self.max_mhz} MHz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jetson:
    """A Jetson.

    Attributes:
        l4t: release of its Linux, such as "36.4.3".
        jetpack: major version, None where the release is not known here.
        power_mode: as nvpmodel names it, such as "15W"; None where it cannot be read.
    """

    board: str
    l4t: str
    jetpack: int | None
    power_mode: str | None
    clocks: tuple[Clock, ...]

    def __str__(self) -> str:
        jetpack = "unknown" if self.jetpack is None else str(self.jetpack)
        return f"{self.board}, JetPack {jetpack} (L4T {self.l4t})"

    @property
    def has_tensorrt_10(self) -> bool:
        """Whether its JetPack brings one that takes a graph's own types, as engines need."""
        return tuple(map(int, re.findall(r"\d+", self.l4t))) >= _L4T_WITH_TENSORRT_10

    @property
    def power(self) -> str:
        """Power mode and clocks, for people."""
        mode = "power mode unknown" if self.power_mode is None else f"mode {self.power_mode}"
        return ", ".join((mode, *map(str, self.clocks)))

    @property
    def cuda_python_command(self) -> str:
        """What installs cuda-python: pip alone, since pip's TensorRT is not made for Jetsons."""
        cuda = _CUDA_OF_JETPACK.get(self.jetpack or 0)
        version = "" if cuda is None else f"~={cuda}"
        return f'pip install "cuda-python{version}"'


def read_jetson(root: Path = Path("/")) -> Jetson | None:
    """The Jetson that this is, or None elsewhere."""
    release = re.match(
        r"# R(\d+) \(release\), REVISION: ([\d.]+)", text_of(root / "etc/nv_tegra_release")
    )
    if release is None:
        return None
    major = int(release[1])
    return Jetson(
        board=text_of(root / "proc/device-tree/model").strip("\0 \n") or "Jetson",
        l4t=f"{major}.{release[2]}",
        jetpack=_JETPACK_OF_L4T.get(major),
        power_mode=_power_mode(root),
        clocks=_clocks(root),
    )


def free_memory_bytes(root: Path = Path("/")) -> int | None:
    """Memory that programs can still have; on a Jetson the GPU's is the same."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", text_of(root / "proc/meminfo"))
    return None if found is None else 1024 * int(found[1])


def _power_mode(root: Path) -> str | None:
    """nvpmodel's state file holds a number, its configuration the name of each."""
    mode = re.search(r"pmode:0*(\d+)", text_of(root / "var/lib/nvpmodel/status"))
    if mode is None:
        return None
    name = re.search(
        rf"^<\s*POWER_MODEL\s+ID={mode[1]}\s+NAME=(\S+)\s*>",
        text_of(root / "etc/nvpmodel.conf"),
        re.MULTILINE,
    )
    return f"number {mode[1]}" if name is None else name[1]


def _clocks(root: Path) -> tuple[Clock, ...]:
    devices = root / "sys/class/devfreq"
    gpus = sorted({path for pattern in _GPU_CLOCKS for path in devices.glob(pattern)})
    cpu = root / "sys/devices/system/cpu/cpu0/cpufreq"
    names = ("cur_freq", "min_freq", "max_freq")
    clocks = [_clock("GPU", [gpu / name for name in names], _HZ) for gpu in gpus]
    clocks.append(_clock("CPU", [cpu / f"scaling_{name}" for name in names], _KHZ))
    return tuple(clock for clock in clocks if clock is not None)


def _clock(name: str, files: list[Path], per_mhz: float) -> Clock | None:
    texts = [text_of(file).strip() for file in files]
    if not all(text.isdigit() for text in texts):
        return None
    now, least, most = (round(int(text) / per_mhz) for text in texts)
    return Clock(name=name, now_mhz=now, min_mhz=least, max_mhz=most)


def text_of(path: Path) -> str:
    """What a file of the system says, "" where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
