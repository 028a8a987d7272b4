"""Frames: what a source delivers, one after the other, and what a source is.

First step of a stream. Third parties write sources to these two names and `notices.Notice`
(docs/streams.md has an example).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeinspect.errors import ImageError
from edgeinspect.runtime.inspection import Reason
from edgeinspect.stream.notices import Notice
from edgeinspect.stream.plain import printable

__all__ = ["Delivery", "Frame", "Recorded", "Source"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture that a source delivered.

    Attributes:
        seq: 0, 1, 2, ... without gaps in each stream; sources may leave it to the run.
        stream: the name of its source where a run has several, else None.
        source: the file, for a video with `#` and the number of the frame.
        picture: (H, W, 3) uint8 RGB or (H, W) grey; None with `error` when it could not be read,
            or with `reason` when it was dropped.
        reason: why it must not be judged: overload; frozen, with a picture; size, with an `error`.
        time_s: seconds since the epoch at delivery; `started_s`: the same on `perf_counter`.
        decode_ms: from delivery to pixels.
        notices: what was told between the frame before and this one; the run fills them in.
    """

    seq: int = 0
    stream: str | None = None
    source: str
    picture: NDArray[np.uint8] | None
    error: ImageError | None = None
    reason: Reason | None = None
    time_s: float
    started_s: float
    decode_ms: float = 0.0
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What an earlier start of a run has records of, in one stream.

    Attributes:
        next_seq: of the first frame without a record.
        sources: how often each `Frame.source` was recorded, as `printable` text; empty for live
            sources.
        every: the first of every so many frames is judged, and the others have no record.
    """

    next_seq: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    every: int = 1

    def without(self, names: Iterable[str]) -> Iterator[str]:
        """The names in their order, without those that the earlier start is done with.

        These are the recorded ones, each with the `every - 1` after it that were left out. So the
        first of every `every` names that remain is the one to judge.
        """
        left, has_record = self.sources.copy(), False
        for place, name in enumerate(names):
            if place % self.every == 0:
                has_record = left[printable(name)] > 0
                left[printable(name)] -= has_record
            if not has_record:
                yield name


Delivery = Generator["Frame | Notice", None, None]


class Source(Protocol):
    """Anything that delivers frames."""

    @property
    def n_frames(self) -> int | None:
        """How many to expect; None if that is not known."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether frames come when they happen (a camera), not when they are asked for."""
        ...

    @property
    def is_lossless(self) -> bool:
        """Whether every frame is judged however late: of files, not of a camera."""
        ...

    @property
    def folders(self) -> set[Path]:
        """Where the files lie that it reads; a run must not write there."""
        ...

    def frames(self, stop: threading.Event | None = None) -> Delivery:
        """The frames, in order, and notices of outages between them; called once.

        Runs on a thread of its own and ends soon after `stop` is set; what it waits for, it
        waits for with that. Raises: DataError when it cannot go on.
        """
        ...

    def skip(self, recorded: Recorded) -> None:
        """Called before `frames`, to leave out what has records. A live source does nothing."""
