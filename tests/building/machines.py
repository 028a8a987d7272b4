"""GPUs and sessions that stand in for those of other machines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeinspect.bundle import read_bundle
from edgeinspect.constants import RuleConstants
from edgeinspect.engines import Receipt
from edgeinspect.gpu import Gpu
from edgeinspect.runtime.session import Images, Ints, Scores, Session, open_session

ORIN = Gpu(
    name="Orin",
    compute_capability="8.7",
    memory_bytes=8 << 30,
    is_integrated=True,
    cuda="12.6",
)
RTX_3060 = Gpu(
    name="NVIDIA GeForce RTX 3060",
    compute_capability="8.6",
    memory_bytes=12 << 30,
    is_integrated=False,
    cuda="13.0",
)
H100 = replace(RTX_3060, name="NVIDIA H100", compute_capability="9.0", memory_bytes=80 << 30)


class StandInSession:
    """The bundle's graph on the CPU in an engine's place; `factor` makes its scores wrong."""

    name = "stand-in"

    def __init__(
        self, session: Session, factor: float, max_batch: int | None, calls: list[int]
    ) -> None:
        self._session, self._factor, self._calls = session, factor, calls
        self.max_batch = max_batch

    def infer(self, images: Images, tile: Ints, *, map_above: float | None = None) -> Scores:
        self._calls.append(len(images))
        scores = self._session.infer(images, tile, map_above=map_above)
        return replace(scores, score=scores.score * np.float32(self._factor))

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> StandInSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class StandInSessions:
    """What `build_engine` takes as `open_plan`; `calls` has the size of each batch."""

    def __init__(self, bundle: Path, *, factor: float = 1.0, max_batch: int | None = None) -> None:
        self._bundle, self._factor, self._max_batch = bundle, factor, max_batch
        self.calls: list[int] = []

    def __call__(self, plan: bytes, receipt: Receipt, constants: RuleConstants) -> Session:
        session = open_session(read_bundle(self._bundle), constants=constants)
        return StandInSession(session, self._factor, self._max_batch, self.calls)
