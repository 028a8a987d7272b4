"""What this machine has for inspection, and the command that installs what it lacks.

Beside the flow: `edgeinspect doctor` shows it, reports carry it as "what was run, on what". Reads
files, package metadata and `nvidia-smi`; never imports a training package.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgeinspect.errors import EngineError, MissingPackageError
from edgeinspect.gpu import driver_cuda, read_gpu
from edgeinspect.jetson import JETPACK_PACKAGE, Jetson, read_jetson, text_of
from edgeinspect.runtime.opening import check_runtime
from edgeinspect.runtime.session import AUTO, RUNTIMES

__all__ = [
    "Diagnosis",
    "ListedGpu",
    "Machine",
    "Package",
    "RuntimeState",
    "diagnose",
    "read_gpus",
    "read_machine",
]

NVIDIA_SMI_QUERY = "name,driver_version,compute_cap,memory.total"
NVIDIA_SMI_SECONDS = 10.0  # a GPU that wakes up takes a few
TELLING_CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The computer itself.

    `jetson` (board and JetPack) and `power` (its mode and clocks) are None on anything else.
    """

    python: str
    is_virtual_environment: bool
    system: str
    cpu: str
    cpu_flags: tuple[str, ...]
    n_cores: int
    memory_bytes: int | None
    memory_free_bytes: int | None
    disk_free_bytes: int
    jetson: str | None
    power: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedGpu:
    """One NVIDIA GPU as its driver names it; `compute_capability` such as 8.7."""

    name: str
    driver: str
    compute_capability: str
    memory_mib: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that some feature needs; `version` None: not installed, `install` says how."""

    name: str
    version: str | None
    purpose: str
    install: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeState:
    """One value of `--runtime`: `lacks` says what it needs, None when it is ready."""

    name: str
    lacks: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that `doctor` shows. `cuda` is the newest CUDA that the driver serves."""

    tool: str
    machine: Machine
    gpus: tuple[ListedGpu, ...]
    cuda: str | None
    runtimes: tuple[RuntimeState, ...]
    packages: tuple[Package, ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """JSON types only; the keys are stable."""
        return asdict(self)


def diagnose(*, root: Path = Path("/"), gpu_query: Callable[[], str] | None = None) -> Diagnosis:
    """Look at this machine. Takes up to a second; nothing missing is an error.

    Args:
        root: where /proc and /etc are looked for.
        gpu_query: gives the lines of `nvidia-smi`, or "" where there is none.
    """
    gpus = read_gpus(gpu_query()) if gpu_query else read_gpus(_ask_nvidia_smi()) or _driver_gpu()
    machine = read_machine(root)
    packages = tuple(_packages(read_jetson(root)))
    return Diagnosis(
        tool=_version_of("edgeinspect") or "not installed",
        machine=machine,
        gpus=gpus,
        cuda=driver_cuda(),
        runtimes=tuple(_runtime_state(name) for name in RUNTIMES if name != AUTO),
        packages=packages,
        notes=tuple(_notes(machine, gpus, packages, root)),
    )


def read_machine(root: Path = Path("/")) -> Machine:
    """Python, processor, memory and disk. `root` is where /proc and /etc are looked for."""
    memory = dict(re.findall(r"(\w+):\s+(\d+) kB", text_of(root / "proc/meminfo")))
    cpu = text_of(root / "proc/cpuinfo")
    jetson = read_jetson(root)
    flags = set(_first(r"(?:flags|Features)\s*: (.*)", cpu, "").split())
    return Machine(
        python=platform.python_version(),
        is_virtual_environment=sys.prefix != sys.base_prefix,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=_first(r"model name\s*: (.*)", cpu, platform.processor() or platform.machine()),
        cpu_flags=tuple(flag for flag in TELLING_CPU_FLAGS if flag in flags),
        n_cores=_n_cores(),
        memory_bytes=_kibibytes(memory.get("MemTotal")),
        memory_free_bytes=_kibibytes(memory.get("MemAvailable")),
        disk_free_bytes=shutil.disk_usage(Path.cwd()).free,
        jetson=None if jetson is None else str(jetson),
        power=None if jetson is None else jetson.power,
    )


def read_gpus(lines: str) -> tuple[ListedGpu, ...]:
    """The GPUs in what `nvidia-smi` answered, but for those that it knows too little of."""
    gpus = []
    for line in lines.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 4 and re.fullmatch(r"\d+\.\d+", fields[2]):
            name, driver, capability, memory = fields
            mib = int(memory) if memory.isdigit() else None  # a Jetson answers [N/A]
            gpus.append(
                ListedGpu(name=name, driver=driver, compute_capability=capability, memory_mib=mib)
            )
    return tuple(gpus)


_OPENCV = tuple(
    f"opencv-{kind}python{head}" for kind in ("", "contrib-") for head in ("-headless", "")
)
_PACKAGES = (  # (distributions that bring it, purpose, extra or None for the base)
    (("numpy",), "arrays", None),
    (("onnxruntime", "onnxruntime-gpu"), "judging on the CPU", None),
    (("onnxruntime-gpu",), "judging on a GPU through ONNX Runtime", "gpu"),
    (("openvino",), "judging on the CPU, the other way", "openvino"),
    (("torch",), "training", "train"),
    (("timm",), "training", "train"),
    (("lightning-fabric",), "training", "train"),
    (("onnx",), "export", "train"),
    (("onnxscript",), "export", "train"),
    (("onnxsim",), "export", "train"),
    (("tensorrt", "tensorrt-cu12", "tensorrt-cu13"), "engines on Jetson and GPUs", "tensorrt"),
    (("tensorrt-rtx-cu13", "tensorrt-rtx-cu12"), "engines on RTX cards", "tensorrt-rtx"),
    (("cuda-python", "cuda-bindings"), "device memory for engines", "tensorrt"),
    (("pycuda",), "device memory for engines, the other way", "pycuda"),
)

_NOT_FOR_JETSONS = ("gpu", "tensorrt-rtx", "train")  # their wheels do not serve its GPU


def _packages(jetson: Jetson | None) -> Iterator[Package]:
    """All that features need; nothing that a Jetson lacks and would install in vain."""
    yield _opencv()
    for names, purpose, extra in _PACKAGES:
        package = _look_up(names, purpose, extra, jetson=jetson)
        if jetson is None or package.version is not None or extra not in _NOT_FOR_JETSONS:
            yield package


def _look_up(
    names: tuple[str, ...], purpose: str, extra: str | None, *, jetson: Jetson | None = None
) -> Package:
    found = next((name for name in names if _version_of(name)), names[0])
    install = f'pip install "edgeinspect[{extra}]"' if extra else "pip install edgeinspect"
    if extra == "tensorrt" and jetson is not None:  # pip's TensorRT is not made for Jetsons
        apt = f"sudo apt-get install {JETPACK_PACKAGE}"
        install = apt if "tensorrt" in names else jetson.cuda_python_command
    return Package(name=found, version=_version_of(found), purpose=purpose, install=install)


def _opencv() -> Package:
    """The OpenCV that is imported: pip's, or the system's, of which pip knows nothing."""
    import cv2

    package = _look_up(_OPENCV, "pictures and video", None)
    if package.version is None:
        package = replace(package, name="OpenCV (the system's)", version=cv2.__version__)
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        package = replace(package, purpose="pictures, video, gst: and csi://")
    return package


def _version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _notes(
    machine: Machine, gpus: tuple[ListedGpu, ...], packages: tuple[Package, ...], root: Path
) -> list[str]:
    """What a person should know that no single line shows."""
    versions = {package.name: package.version for package in packages}
    notes = []
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        notes.append(f"Python {machine.python} is outside 3.10 to 3.13, which are declared")
    if _version_of("onnxruntime") and _version_of("onnxruntime-gpu"):
        notes.append(
            "onnxruntime and onnxruntime-gpu share one module; to be sure of the GPU's, run:"
            " pip install --force-reinstall --no-deps onnxruntime-gpu"
        )
    system_packages = list((root / "usr/lib").glob("python3*/dist-packages/tensorrt"))
    if system_packages and not versions.get("tensorrt") and machine.is_virtual_environment:
        notes.append(
            "TensorRT is installed for the system's Python, which this environment does not see;"
            " make it anew with: python3 -m venv --system-site-packages"
        )
    notes += _jetson_notes(read_jetson(root))
    if gpus and machine.jetson is None and not versions.get("onnxruntime-gpu"):
        notes.append('there is a GPU that ONNX Runtime cannot use: pip install "edgeinspect[gpu]"')
    return notes


def _jetson_notes(jetson: Jetson | None) -> list[str]:
    if jetson is None:
        return []
    notes = [
        "the GPU's memory is the CPU's: build-engine takes little of it unless --workspace-mib"
    ]
    if not jetson.has_tensorrt_10:
        notes.append("engines need JetPack 6.1 or later, for its TensorRT")
    if any(not clock.is_fixed for clock in jetson.clocks):
        notes.append("clocks move with the load; for steady latency run: sudo jetson_clocks")
    return notes


def _driver_gpu() -> tuple[ListedGpu, ...]:
    """The first GPU as the CUDA driver tells it, for Jetsons whose nvidia-smi is missing."""
    gpu = read_gpu()
    if gpu is None:
        return ()
    memory_mib = None if gpu.is_integrated else gpu.memory_bytes >> 20
    return (
        ListedGpu(
            name=gpu.name,
            driver=f"CUDA {gpu.cuda}",
            compute_capability=gpu.compute_capability,
            memory_mib=memory_mib,
        ),
    )


def _ask_nvidia_smi() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ["nvidia-smi", f"--query-gpu={NVIDIA_SMI_QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _runtime_state(name: str) -> RuntimeState:
    """Whether a session could be opened with this runtime, in the session's own words."""
    try:
        check_runtime(name)
    except (EngineError, MissingPackageError) as error:
        return RuntimeState(name=name, lacks=str(error))
    except ImportError as error:
        return RuntimeState(name=name, lacks=f"{error}; run: pip install onnxruntime")
    return RuntimeState(name=name, lacks=None)


def _n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _kibibytes(text: str | None) -> int | None:
    return None if text is None else int(text) * 1024


def _first(pattern: str, text: str, otherwise: str) -> str:
    match = re.search(pattern, text)
    return otherwise if match is None else match[1].strip()
