"""What every runtime offers: a batch of images in, scores out.

The inspector, calibration and benchmarks see only these protocols; `open_session` (`opening.py`)
picks the runtime by name and binds the rule constants, which stay bound until it is closed.
"""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision
from edgeinspect.constants import RuleConstants
from edgeinspect.errors import ConfigError, EngineError

__all__ = [
    "AUTO",
    "BATCHED",
    "MOST_IMAGES",
    "MOST_THREADS",
    "ON_CPU",
    "OUTPUTS",
    "RUNTIMES",
    "DeviceTimes",
    "Floats",
    "Images",
    "Ints",
    "MapSession",
    "Scores",
    "Session",
    "TimedSession",
    "check_batch",
    "check_images",
    "check_name",
    "check_thread",
    "check_threads",
    "check_tile",
    "infer_all",
    "open_maps",
    "open_session",
]

BATCHED = ("image", "tile")  # inputs that come with each call; the others are constants
OUTPUTS = ("score", "local_score", "global_score", "scale", "anomaly_map", "statistics")
AUTO = "auto"  # the runtime that suits the machine
RUNTIMES = (AUTO, "onnxruntime", "onnxruntime-cuda", "openvino", "tensorrt", "tensorrt-rtx")
ON_CPU = ("onnxruntime", "openvino")  # of them, those that run on a CPU
MOST_IMAGES = 1024  # in one call: queues of pictures are as long as a batch or two
MOST_THREADS = 1024  # a runtime starts as many as it is told, until the machine has no more

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """What the graph says about a batch of B images.

    Attributes:
        score: (B,), the one the verdict uses; local_score and global_score: (B,).
        scale: (B,), int32, the mask scale that the map comes from.
        anomaly_map: (B, H, W), in z units of good parts.
        statistics: (B, S), before they become z.
        has_map: (B,), False where the map was not wanted and `anomaly_map` is 0; all by default.
    """

    score: Floats
    local_score: Floats
    global_score: Floats
    scale: Ints
    anomaly_map: Floats
    statistics: Floats
    has_map: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __post_init__(self) -> None:
        if len(self.has_map) != len(self.score):
            object.__setattr__(self, "has_map", np.ones(len(self.score), np.bool_))

    @classmethod
    def join(cls, parts: list[Scores]) -> Scores:
        """The scores of several batches as those of one."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})

    def split(self, lengths: list[int]) -> list[Scores]:
        """The scores of consecutive runs of images, one of each length."""
        ends = np.cumsum(lengths)
        names = [field.name for field in dataclasses.fields(self)]
        return [
            Scores(**{n: getattr(self, n)[end - length : end] for n in names})
            for length, end in zip(lengths, ends, strict=True)
        ]


class Session(Protocol):
    """An open scoring graph with its constants bound; use it inside a `with`.

    Attributes:
        precision: of its graph; None where nobody said.
        engine: the fingerprint of its engine; None for a runtime that has none.
    """

    name: str
    precision: Precision | None
    engine: str | None

    @property
    def max_batch(self) -> int | None:
        """The most images that one call takes; None for any number."""
        ...

    def infer(self, images: Images, tile: Ints, *, map_above: float | None = None) -> Scores:
        """Score images (B, H, W, 3) uint8 RGB, each at its tile position (B,) int32.

        Args:
            map_above: only maps of images with a higher score are wanted, where leaving the
                others on the device saves time; None wants all.
        Raises: EngineError if they do not fit the graph, the session is closed, or it is used
            from a thread that did not open it where the runtime cannot have that.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Session: ...

    def __exit__(self, *error: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTimes:
    """Milliseconds of one batch on its device: inputs there, the graph itself, outputs back."""

    copy_in_ms: float
    compute_ms: float
    copy_out_ms: float


@runtime_checkable
class TimedSession(Protocol):
    """A session that can tell the device's time from the host's, for benchmarks."""

    def device_times(self, n_images: int, n_times: int) -> list[DeviceTimes]:
        """The last batch of that size, run again step by step, maps left on the device."""
        ...


class MapSession(Protocol):
    """The open graph that ends with error maps; use it inside a `with`."""

    name: str

    def error_maps(self, images: Images) -> Floats:
        """Un-normalised error maps (B, K, I, H, W) of images (B, H, W, 3) uint8 RGB."""
        ...

    def reconstruct(self, images: Images) -> tuple[Floats, Floats]:
        """The error maps, and the fused reconstructions (B, I, H, W, 3) in [0, 1]."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> MapSession: ...

    def __exit__(self, *error: object) -> None: ...


def infer_all(session: Session, images: Images, tile: Ints, *, batch: int = 8) -> Scores:
    """Score any number of images in calls of `batch`, or of what the session takes."""
    step = min(batch, session.max_batch or batch)
    starts = range(0, len(images), step)
    return Scores.join([session.infer(images[i : i + step], tile[i : i + step]) for i in starts])


def open_session(
    bundle: Bundle,
    *,
    runtime: str = AUTO,
    precision: Precision | None = None,
    batch: int = 1,
    threads: int | None = None,
    constants: RuleConstants | None = None,
) -> Session:
    """Open a bundle's scoring graph.

    Args:
        runtime: one of `RUNTIMES`; "auto" takes an engine that fits this GPU, else CUDA where
            ONNX Runtime offers it, else its CPU; never OpenVINO, which must be asked for.
        precision: of the graph; None: FP16 on a GPU where the bundle has it, FP32 on a CPU. INT8,
            where the bundle has it, is for ONNX Runtime's CPU, which "auto" then takes.
        batch: images that one call will have, for which an engine must have been built.
        threads: of the CPU for one call; None leaves it to the runtime.
        constants: instead of the bundle's calibration, such as `RuleConstants.neutral`.
    Raises: ConfigError if no call can have so many images; NotCalibratedError, BundleError if it
        has no such graph, ParityError if an engine that is new here fails its proof, EngineError
        if the runtime is unknown or missing, no engine fits, or the constants do not fit the graph.
    """
    from edgeinspect.runtime.opening import open_named, pick_runtime

    check_name(runtime)
    check_batch(batch)
    if constants is None:
        constants = bundle.require_calibration().constants
    if runtime == AUTO:
        runtime = pick_runtime(bundle, precision, batch)
    return open_named(bundle, runtime, constants, precision=precision, batch=batch, threads=threads)


def check_name(runtime: str) -> None:
    """Raise EngineError unless it is one of `RUNTIMES`."""
    if runtime not in RUNTIMES:
        names = ", ".join(RUNTIMES)
        raise EngineError(f"there is no runtime {runtime!r}", hint=f"use one of {names}")


def check_batch(batch: int) -> None:
    """Raise ConfigError unless one call can have so many images."""
    if not 1 <= batch <= MOST_IMAGES:
        raise ConfigError(f"batch is {batch}: it must lie in 1 to {MOST_IMAGES}")


def open_maps(bundle: Bundle, *, threads: int | None = None) -> MapSession:
    """Open the graph that ends with error maps, on ONNX Runtime's CPU. Raises: EngineError."""
    from edgeinspect.runtime.onnxruntime_session import OnnxRuntimeMaps

    return OnnxRuntimeMaps(bundle.maps_path, threads=threads)


def check_thread(owner: int) -> None:
    """Raise EngineError unless the calling thread is the one of this identity."""
    if threading.get_ident() != owner:
        raise EngineError(
            "a GPU session is used from another thread than the one that opened it",
            hint="open one session in each thread",
        )


def check_threads(threads: int | None) -> None:
    """Raise EngineError unless it is from 1 to `MOST_THREADS`, or None."""
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise EngineError(f"threads is {threads}: it must lie in 1 to {MOST_THREADS}")


def check_tile(tile: Ints, n_images: int, n_tiles: int) -> None:
    """Raise EngineError unless tile is (n_images,) of positions that the constants know."""
    if tile.shape != (n_images,) or tile.min() < 0 or tile.max() >= n_tiles:
        raise EngineError(
            f"tile is {tile.tolist()} for {n_images} images, and the constants know"
            f" {n_tiles} tile positions"
        )


def check_images(images: Images, size: tuple[int, int]) -> None:
    """Raise EngineError unless images are (B, H, W, 3) uint8 of the graph's size, B > 0."""
    height, width = size
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, 3) or not len(images):
        raise EngineError(
            f"images are {images.dtype} {images.shape}, the graph takes uint8"
            f" (B, {height}, {width}, 3)"
        )
