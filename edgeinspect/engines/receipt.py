"""What an engine is: the key it was built for, and the receipt beside its plan.

The key's fingerprint names both files. It says nothing of calibration: rule constants are inputs
of the graph, so that calibrating again needs no new engine. Plans of one key are not equal byte
by byte, hence the plan's own hash in the receipt.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from typing import Any

from edgeinspect.config import Precision, from_dict, to_dict
from edgeinspect.errors import ConfigError, EngineError

__all__ = [
    "OPEN_TARGET",
    "SCHEMA",
    "VERSION_COMPATIBLE",
    "BatchRange",
    "EngineKey",
    "Layers",
    "Proof",
    "Receipt",
    "host_system",
]

SCHEMA = 1
OPEN_TARGET = "open"  # TensorRT-RTX: any GPU from Ampere on, chosen when it is first run
VERSION_COMPATIBLE = "version-compatible"  # a flag: later TensorRT versions run it, too
FINGERPRINT_DIGITS = 16


def host_system() -> str:
    """Engines do not move between these, such as "linux-aarch64"."""
    return f"{platform.system().lower()}-{platform.machine()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRange:
    """Tiles in one call that an engine takes: `smallest` to `largest`, fastest at `tuned`."""

    smallest: int
    tuned: int
    largest: int

    def __post_init__(self) -> None:
        if not 1 <= self.smallest <= self.tuned <= self.largest:
            raise ConfigError(
                f"batch {self} is no range", hint="write SMALLEST,TUNED,LARGEST such as 1,4,8"
            )

    @classmethod
    def parse(cls, text: str) -> BatchRange:
        """`8`: exactly 8; `1,8`: 1 to 8, tuned for 8; `1,4,8`: 1 to 8, tuned for 4.

        Raises: ConfigError.
        """
        try:
            numbers = [int(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 3:
            raise ConfigError(
                f"batch is {text!r}", hint="write SMALLEST,TUNED,LARGEST such as 1,4,8"
            )
        return cls(smallest=numbers[0], tuned=numbers[len(numbers) // 2], largest=numbers[-1])

    def __str__(self) -> str:
        return f"{self.smallest},{self.tuned},{self.largest}"

    def __contains__(self, n_tiles: int) -> bool:
        return self.smallest <= n_tiles <= self.largest


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKey:
    """What decides whether an engine may be used; two engines of one key are interchangeable.

    Attributes:
        graph_sha256: of the graph and its weights (`store.graph_sha256`).
        flavour: "tensorrt" or "tensorrt-rtx", as `--runtime` names them; `version` is its.
        target: such as "sm87", or `OPEN_TARGET`.
        system: as `host_system`.
        flags: such as `VERSION_COMPATIBLE`.
    """

    graph_sha256: str
    flavour: str
    version: str
    target: str
    system: str
    precision: Precision
    batch: BatchRange
    flags: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Names the engine's files: 16 hex digits."""
        text = json.dumps(to_dict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT_DIGITS]

    def differences(self, wanted: EngineKey) -> tuple[str, ...]:
        """In what this engine's key differs from the one wanted, in words, weightiest first."""
        # Graphs of two precisions differ, which goes without saying.
        is_comparable = self.precision is wanted.precision
        graph = wanted.graph_sha256 if is_comparable else self.graph_sha256
        fields = (
            ("graph", self.graph_sha256[:12], graph[:12]),
            ("runtime", self.flavour, wanted.flavour),
            ("precision", self.precision.value, wanted.precision.value),
            ("system", self.system, wanted.system),
            ("target", self.target, wanted.target),
            (f"version of {self.flavour}", self.version, wanted.version),
            ("batch", str(self.batch), str(wanted.batch)),
            ("flags", _words(self.flags), _words(wanted.flags)),
        )
        return tuple(f"{name} {is_}, not {want}" for name, is_, want in fields if is_ != want)


def _words(flags: tuple[str, ...]) -> str:
    return " ".join(flags) or "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """That an engine computed what PyTorch did, on which GPU, and how closely (`parity`).

    `runtime` is flavour and version, such as "tensorrt 10.3.0"; None in receipts of before.
    """

    gpu: str
    compute_capability: str
    runtime: str | None = None
    at: str  # ISO 8601, UTC
    n_images: int
    n_ties: int
    score_error: float
    map_error: float
    map_correlation: float
    n_scale_changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """How many layers there are by the type they compute in, and how many are fused attention.

    Of the built engine where the inspector could be asked, else of the network (`is_of_engine`
    False), where attention is not fused yet.
    """

    is_of_engine: bool
    n_fp16: int
    n_fp32: int
    n_int8: int
    n_other: int
    n_fused_attention: int | None = None

    @property
    def n(self) -> int:
        return self.n_fp16 + self.n_fp32 + self.n_int8 + self.n_other


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The file beside a plan: what it is, how it was made, what proves it.

    Attributes:
        is_verified: whether `proof` shows that it computes what PyTorch did; False for an engine
            built ahead of time, which its first session on that GPU has to prove.
        n_tile_positions: the largest T of `map_mean` that it takes.
        gpu: name of the GPU that it was built on, None when none was there.
        jetson: board, JetPack, power mode and clocks of the Jetson that it was built on, or None.
        device_memory_bytes: that a context needs; None when it could not be asked.
        built_at: ISO 8601, UTC.
    """

    schema: int = SCHEMA
    tool_version: str
    bundle: str
    key: EngineKey
    plan_sha256: str
    plan_bytes: int
    is_verified: bool
    proof: Proof | None
    n_tile_positions: int
    workspace_mib: int
    build_seconds: float
    built_at: str
    gpu: str | None
    jetson: str | None = None
    device_memory_bytes: int | None
    layers: Layers

    def __post_init__(self) -> None:
        if self.is_verified != (self.proof is not None):
            raise ValueError("a proof is what verifies")

    @property
    def fingerprint(self) -> str:
        return self.key.fingerprint

    def to_bytes(self) -> bytes:
        """The file's content: JSON for people and machines."""
        return (json.dumps(to_dict(self), indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, *, where: object) -> Receipt:
        """Read what `to_bytes` gave. Raises: EngineError that names `where`."""
        try:
            plain: dict[str, Any] = json.loads(data)
            if plain.get("schema", 0) > SCHEMA:
                raise EngineError(
                    f"{where} was written by a newer edgeinspect",
                    hint="run: pip install --upgrade edgeinspect",
                )
            return from_dict(cls, plain)
        except (ValueError, TypeError, AttributeError, ConfigError) as error:
            raise EngineError(
                f"{where} is damaged: {error}",
                hint="remove it, then run: edgeinspect build-engine",
            ) from error
