"""Test pictures on their way through an inspector, and what is kept of them.

Each picture is judged as it is and, where there is an equaliser, once more after it. Scores and
baseline features are kept; a map is counted against its mask and dropped, so memory does not grow
with the pixels of a test set (`pixel_metrics.PixelTally`). Masks are compared at the size that the
model saw (`mask_at`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.images import read_picture
from edgeinspect.data.layout import LabelledPicture, read_mask
from edgeinspect.data.tiling import TileGrid
from edgeinspect.errors import ImageError
from edgeinspect.evaluation.baselines import PictureFeatures
from edgeinspect.evaluation.peaks import MapPeak, find_map_peak
from edgeinspect.evaluation.reference import Reference
from edgeinspect.pixel_metrics import PixelTally
from edgeinspect.progress import OnProgress
from edgeinspect.runtime.inspection import Inspection, Reason, Verdict
from edgeinspect.runtime.inspector import Inspector

__all__ = ["Collected", "Entry", "collect", "mask_at", "read_mask_at"]

_log = logging.getLogger(__name__)

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """One judged test picture without its pixels; NaN where a score is not finite or not there.

    `map_peak` is None where the score is not finite.
    """

    name: str
    label: str
    is_defect: bool
    path: Path
    verdict: Verdict
    score: float
    local_score: float
    global_score: float
    scale: int
    equalised_score: float
    map_peak: MapPeak | None
    features: PictureFeatures
    equalised_features: PictureFeatures | None


@dataclass(slots=True, kw_only=True, eq=False)
class Collected:
    """What has come back so far; names are paths from the data folder on.

    `tallies` and `n_mapped` count pixels and pictures by class; `unlabelled` were not judged, nor
    `unread`, which are of a kind that is not read.
    """

    entries: list[Entry] = field(default_factory=list)
    tallies: dict[str, PixelTally] = field(default_factory=dict)
    n_mapped: dict[str, int] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    masks_missing: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def not_finite(self) -> list[str]:
        """Pictures whose score was no finite number."""
        return [e.name for e in self.entries if not math.isfinite(e.score)]

    def count_pixels(
        self, label: str, anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> None:
        """Add a map (h, w) and its mask to those of its class."""
        tally = PixelTally.of(anomaly_map, mask)
        self.tallies[label] = self.tallies.get(label, PixelTally.empty()) + tally
        self.n_mapped[label] = self.n_mapped.get(label, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waiting:
    """A picture that was read: (H, W, 3), and the same equalised."""

    labelled: LabelledPicture
    name: str
    picture: Picture
    equalised: Picture | None
    grid: TileGrid

    @property
    def pictures(self) -> list[Picture]:
        return [self.picture] if self.equalised is None else [self.picture, self.equalised]


def collect(
    inspector: Inspector,
    pictures: Sequence[LabelledPicture],
    data: Path,
    reference: Reference,
    on_progress: OnProgress,
) -> Collected:
    """Judge every picture, `inspector.batch` tiles a call, those of several pictures together.

    Pictures that cannot be read, or whose size cannot be judged, are named and left out.
    """
    collected = Collected()
    waiting: list[_Waiting] = []
    for one in _read(inspector, pictures, data, reference, collected, on_progress):
        waiting.append(one)
        if sum(w.grid.n_tiles * len(w.pictures) for w in waiting) >= inspector.batch:
            _judge(inspector, waiting, reference, collected)
            waiting = []
    if waiting:
        _judge(inspector, waiting, reference, collected)
    return collected


def _read(
    inspector: Inspector,
    pictures: Sequence[LabelledPicture],
    data: Path,
    reference: Reference,
    collected: Collected,
    on_progress: OnProgress,
) -> Iterator[_Waiting]:
    white = inspector.white_level_16bit
    for done, labelled in enumerate(pictures):
        on_progress("test pictures", done, len(pictures))
        name = labelled.path.relative_to(data).as_posix()
        try:
            picture = read_picture(labelled.path, white_level_16bit=white)
            grid = inspector.plan(picture)
        except ImageError as error:
            what = error.what if name in error.what else f"{name}: {error.what}"
            _log.warning("not evaluated: %s", what)
            collected.unreadable.append(name)
            continue
        equaliser = reference.equaliser
        equalised = None if equaliser is None else equaliser(picture)
        yield _Waiting(
            labelled=labelled, name=name, picture=picture, equalised=equalised, grid=grid
        )
    on_progress("test pictures", len(pictures), len(pictures))


def _judge(
    inspector: Inspector, waiting: list[_Waiting], reference: Reference, collected: Collected
) -> None:
    inspections = iter(inspector([picture for one in waiting for picture in one.pictures]))
    for one in waiting:
        plain = next(inspections)
        equal = None if one.equalised is None else next(inspections)
        peak = None
        if plain.reason is Reason.NON_FINITE:
            _log.warning("not inspected: the score of %s is not finite", one.name)
        elif plain.anomaly_map is not None and plain.measure is not None:
            mask = read_mask_at(one.labelled, one.grid)
            peak = find_map_peak(plain.anomaly_map, plain.measure, one.grid, mask)
            if mask is None:
                collected.masks_missing.append(one.name)
            else:
                collected.count_pixels(one.labelled.label, plain.anomaly_map, mask)
        collected.entries.append(_entry(one, plain, equal, reference, peak))


def _entry(
    one: _Waiting,
    plain: Inspection,
    equal: Inspection | None,
    reference: Reference,
    peak: MapPeak | None,
) -> Entry:
    fill, equalised = reference.fill, one.equalised
    return Entry(
        name=one.name,
        label=one.labelled.label,
        is_defect=not one.labelled.is_good,
        path=one.labelled.path,
        verdict=plain.verdict,
        score=_number(plain.score),
        local_score=_number(plain.local_score),
        global_score=_number(plain.global_score),
        scale=-1 if plain.scale is None else plain.scale,
        equalised_score=_number(None if equal is None else equal.score),
        map_peak=peak,
        features=PictureFeatures.of(one.picture, one.grid, fill),
        equalised_features=(
            None if equalised is None else PictureFeatures.of(equalised, one.grid, fill)
        ),
    )


def _number(value: float | None) -> float:
    return value if value is not None and np.isfinite(value) else float("nan")


def read_mask_at(picture: LabelledPicture, grid: TileGrid) -> NDArray[np.bool_] | None:
    """A test picture's mask (resized_h, resized_w): all false for a good part.

    None, with a warning where there is a file, if a defect has no mask that can be read.
    """
    if picture.is_good:
        return np.zeros(grid.resized_hw, dtype=bool)
    if picture.mask_path is None:
        return None
    try:
        mask = read_mask(picture.mask_path, grid.picture_hw)
    except ImageError as error:
        _log.warning("no mask: %s", error.what)
        return None
    if not mask.any():
        _log.warning("no mask: %s has no pixel of a defect", picture.mask_path)
        return None
    return mask_at(mask, grid.resized_hw)


def mask_at(mask: NDArray[np.bool_], resized_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask (H, W) at the size of the map: true where more than half of a pixel was drawn.

    A mask too thin for that keeps the pixels that it covers most, so that no defect gets lost.
    """
    if mask.shape == resized_hw:
        return mask
    if not mask.any():
        return np.zeros(resized_hw, dtype=bool)
    height, width = resized_hw
    smaller = (min(width, mask.shape[1]), min(height, mask.shape[0]))
    shares = cv2.resize(mask.astype(np.float32), smaller, interpolation=cv2.INTER_AREA)
    share = np.asarray(cv2.resize(shares, (width, height), interpolation=cv2.INTER_LINEAR))
    limit = min(0.5, float(share.max()) - 1e-6)
    return np.asarray(share > limit)
