"""What parts are judged by, in names and hashes: for sinks, and for notices of a change."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgeinspect.runtime.inspector import Inspector

__all__ = ["Judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A bundle, and what it runs on.

    Attributes:
        bundle: its name; bundle_hash: `Bundle.short_id`, as in each record.
        calibration: its file in the bundle, which has the hash in its name.
        precision: of the graph, such as "fp16".
        engine: the fingerprint of TensorRT's engine; "" on other runtimes.
    """

    bundle: str
    bundle_hash: str
    calibration: str
    runtime: str
    precision: str
    engine: str = ""

    @classmethod
    def of(cls, inspector: Inspector) -> Judge:
        bundle, precision = inspector.bundle, inspector.precision
        return cls(
            bundle=bundle.name,
            bundle_hash=bundle.short_id,
            calibration=bundle.manifest.calibration or "",
            runtime=inspector.runtime,
            precision="" if precision is None else precision.value,
            engine=inspector.engine or "",
        )

    def to_plain(self) -> dict[str, str]:
        """The fields in JSON types."""
        return dataclasses.asdict(self)
