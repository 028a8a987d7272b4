"""What is found out about one part: its verdict, why, and where; and how long that took."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import Measure
from edgeinspect.runtime.regions import Region

__all__ = ["Inspection", "Reason", "Timing", "Verdict"]


class Verdict(str, enum.Enum):
    """What is decided about a part."""

    OK = "OK"
    NG = "NG"
    NOT_INSPECTED = "NOT-INSPECTED"


class Reason(str, enum.Enum):
    """Why a part was not inspected."""

    UNREADABLE = "unreadable"
    SIZE = "size"
    NON_FINITE = "non-finite"
    OVERLOAD = "overload"
    DEADLINE = "deadline"
    FROZEN = "frozen"
    ENGINE = "engine"
    BLANK = "blank"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Milliseconds that one part took; in a batch, `infer_ms` is what the part waited for it."""

    prepare_ms: float = 0.0
    infer_ms: float = 0.0
    post_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspection:
    """What was found out about one part.

    Attributes:
        reason, detail: why it was not inspected, as a name and in words; else None.
        score: the one compared with `threshold`; None, as all that follows from it, when the
            part has no scores. `local_score` and `global_score` are reported beside it.
        scale: index of the mask scale that the map comes from.
        measure: the error measure that stands out most; the map is of it, unless it is `whole`.
        regions: where an NG part is wrong, strongest first.
        anomaly_map: (h, w) float32 in z units, in the geometry of the resized picture; None as
            well for a part that is OK where maps of all were not asked for and cost time.
        map_level: z from where the map speaks for NG, for drawing it.
        picture_hw: (height, width) of the picture in px.
    """

    verdict: Verdict
    threshold: float
    picture_hw: tuple[int, int]
    timing: Timing = Timing()
    reason: Reason | None = None
    detail: str | None = None
    score: float | None = None
    local_score: float | None = None
    global_score: float | None = None
    scale: int | None = None
    measure: Measure | None = None
    regions: tuple[Region, ...] = ()
    anomaly_map: NDArray[np.float32] | None = None
    map_level: float | None = None

    def map_at_picture_size(self) -> NDArray[np.float32] | None:
        """The anomaly map brought to the picture's (height, width); None if there is none."""
        if self.anomaly_map is None:
            return None
        import cv2

        height, width = self.picture_hw
        resized = cv2.resize(self.anomaly_map, (width, height), interpolation=cv2.INTER_LINEAR)
        return resized.astype(np.float32, copy=False)
