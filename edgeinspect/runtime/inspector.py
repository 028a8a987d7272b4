"""Pictures in, verdicts out: what `edgeinspect.open` gives, and what `run` itself uses.

Size, resize rule, tiling and colour order come from the bundle. A part is all tiles of its
picture: its scores are the largest of theirs, its map is stitched from theirs, and it is OK only
when its score is finite and not above the threshold.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Measure, Normalisation
from edgeinspect.data.tiling import TileGrid, cut_tiles, plan_tiles, stitch_tiles
from edgeinspect.errors import ImageError
from edgeinspect.runtime.regions import MapLevels, Region, find_regions
from edgeinspect.runtime.session import Scores, Session, open_session

__all__ = [
    "Inspection",
    "Inspector",
    "Reason",
    "Region",
    "Timing",
    "Verdict",
    "open_inspector",
]

Picture = NDArray[np.uint8]


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
        measure: the error measure that the map comes from.
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


def open_inspector(
    path: str | Path,
    runtime: str = "auto",
    threads: int | None = None,
    batch: int = 1,
    maps_of_all: bool = True,
) -> Inspector:
    """Open a calibrated bundle; `edgeinspect.open` is this function.

    Args:
        runtime: one of `edgeinspect.runtime.session.RUNTIMES`.
        threads: of the CPU for one call; None leaves it to the runtime.
        batch: tiles in one call.
        maps_of_all: also of parts that are OK; without, a GPU keeps those, which is faster.
    Raises: BundleError, NotCalibratedError, EngineError.
    """
    bundle = read_bundle(Path(path))
    session = open_session(bundle, runtime=runtime, batch=batch, threads=threads)
    return Inspector(bundle, session, batch=batch, maps_of_all=maps_of_all)


class Inspector:
    """An open bundle that judges pictures; use it inside a `with`."""

    def __init__(
        self, bundle: Bundle, session: Session, *, batch: int = 1, maps_of_all: bool = True
    ) -> None:
        assert batch >= 1, f"batch is {batch}"
        self.bundle = bundle
        self.batch = batch
        self._map_above = None if maps_of_all else bundle.require_calibration().threshold.value
        self._session = session
        self._calibration = bundle.require_calibration()
        self._levels = MapLevels(self._calibration, bundle.config.scoring.statistics)

    @property
    def runtime(self) -> str:
        """The runtime that was opened, such as "onnxruntime"."""
        return self._session.name

    @property
    def threshold(self) -> float:
        return self._calibration.threshold.value

    @overload
    def __call__(self, pictures: Picture) -> Inspection: ...

    @overload
    def __call__(self, pictures: Sequence[Picture]) -> list[Inspection]: ...

    def __call__(self, pictures: Picture | Sequence[Picture]) -> Inspection | list[Inspection]:
        """Judge one picture, or a list of them in calls of `batch` tiles.

        Args:
            pictures: uint8 (H, W, 3) RGB or (H, W) grey, of any size, or a list of such.
        Raises: ImageError if an array is not that; a picture of a size that cannot be judged
            raises nothing and is NOT-INSPECTED.
        """
        if isinstance(pictures, np.ndarray):
            return self._inspect([pictures])[0]
        return self._inspect(list(pictures))

    def plan(self, picture: Picture) -> TileGrid:
        """How a picture is cut. Raises: ImageError if its size cannot be judged."""
        grid = plan_tiles(_shape(picture), self.bundle.config.preprocess)
        if self._calibration.normalisation is Normalisation.PIXEL:
            self._check_places(grid)
        return grid

    def _check_places(self, grid: TileGrid) -> None:
        """Maps normalised per pixel know only the tile positions that they were learned at."""
        places = self._calibration.tile_places
        n_tiles = self._calibration.constants.n_tiles
        is_other_count = n_tiles > 1 and grid.n_tiles != n_tiles  # one map serves any number
        if is_other_count or (places is not None and grid.corners != places):
            height, width = grid.picture_hw
            raise ImageError(
                f"a picture of {width} x {height} px is cut into other tiles than the aligned"
                " pictures that the bundle was calibrated on",
                hint="use pictures of that size, or calibrate with --normalisation block",
            )

    def _inspect(self, pictures: list[Picture]) -> list[Inspection]:
        start = time.perf_counter()
        grids = [self._grid_or_error(picture) for picture in pictures]
        planned = [(p, g) for p, g in zip(pictures, grids, strict=True) if isinstance(g, TileGrid)]
        tiles = [cut_tiles(picture, grid) for picture, grid in planned]
        places = [self._tile_positions(grid) for _, grid in planned]
        prepared = time.perf_counter()
        scores = self._infer(tiles, places)
        inferred = time.perf_counter()
        timing = (1e3 * (prepared - start) / max(1, len(pictures)), 1e3 * (inferred - prepared))
        found = iter(scores)
        return [
            self._not_inspected(picture, grid, timing)
            if isinstance(grid, ImageError)
            else self._judge(next(found), grid, timing)
            for picture, grid in zip(pictures, grids, strict=True)
        ]

    def _grid_or_error(self, picture: Picture) -> TileGrid | ImageError:
        _check_array(picture)
        try:
            return self.plan(picture)
        except ImageError as error:
            return error

    def _tile_positions(self, grid: TileGrid) -> NDArray[np.int32]:
        if self._calibration.constants.n_tiles == 1:
            return np.zeros(grid.n_tiles, np.int32)
        return np.arange(grid.n_tiles, dtype=np.int32)

    def _infer(
        self, tiles: list[NDArray[np.uint8]], places: list[NDArray[np.int32]]
    ) -> list[Scores]:
        """Scores of each part's tiles; calls of `batch` tiles may span parts."""
        if not tiles:
            return []
        scores = self._infer_tiles(np.concatenate(tiles), np.concatenate(places), self._map_above)
        parts = scores.split([len(part) for part in tiles])
        return [
            self._infer_tiles(tiles[i], places[i], None) if self._lacks_maps(part) else part
            for i, part in enumerate(parts)
        ]

    def _infer_tiles(
        self, images: NDArray[np.uint8], tile: NDArray[np.int32], map_above: float | None
    ) -> Scores:
        steps = [slice(i, i + self.batch) for i in range(0, len(images), self.batch)]
        infer = self._session.infer
        return Scores.join([infer(images[s], tile[s], map_above=map_above) for s in steps])

    def _lacks_maps(self, part: Scores) -> bool:
        """Whether a part is NG by some of its tiles, and maps of the others were not copied."""
        return not part.has_map.all() and bool((part.score > self.threshold).any())

    def _not_inspected(
        self, picture: Picture, error: ImageError, timing: tuple[float, float]
    ) -> Inspection:
        return Inspection(
            verdict=Verdict.NOT_INSPECTED,
            reason=Reason.SIZE,
            detail=str(error),
            threshold=self.threshold,
            picture_hw=_shape(picture),
            timing=Timing(prepare_ms=timing[0]),
        )

    def _judge(self, scores: Scores, grid: TileGrid, timing: tuple[float, float]) -> Inspection:
        start = time.perf_counter()
        verdict, reason = _verdict(scores.score, self.threshold)
        worst = int(np.argmax(scores.score)) if reason is None else 0
        levels = self._levels.of(scores)
        is_ng = scores.score > self.threshold
        regions = find_regions(scores.anomaly_map, levels, is_ng, grid) if reason is None else ()
        has_map = scores.has_map.all()
        return Inspection(
            verdict=verdict,
            reason=reason,
            detail=None if reason is None else "the graph gave a score that is no finite number",
            score=float(scores.score.max()),
            local_score=float(scores.local_score.max()),
            global_score=float(scores.global_score.max()),
            threshold=self.threshold,
            scale=int(scores.scale[worst]),
            measure=self.bundle.config.scoring.measures[int(self._levels.measures(scores)[worst])],
            regions=regions,
            anomaly_map=stitch_tiles(scores.anomaly_map, grid) if has_map else None,
            map_level=float(levels[worst]) if has_map else None,
            picture_hw=grid.picture_hw,
            timing=Timing(
                prepare_ms=timing[0],
                infer_ms=timing[1],
                post_ms=1e3 * (time.perf_counter() - start),
            ),
        )

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Inspector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _verdict(score: NDArray[np.float32], threshold: float) -> tuple[Verdict, Reason | None]:
    """The verdict of a part from the scores of its tiles: nothing that is not finite is OK."""
    if not np.isfinite(score).all():
        return Verdict.NOT_INSPECTED, Reason.NON_FINITE
    return (Verdict.OK if float(score.max()) <= threshold else Verdict.NG), None


def _check_array(picture: Picture) -> None:
    shape = picture.shape
    is_picture = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
    if picture.dtype != np.uint8 or not is_picture:
        raise ImageError(
            f"a picture is {picture.dtype} {shape}",
            hint="pass uint8 (H, W, 3) in RGB, or (H, W) in grey",
        )


def _shape(picture: Picture) -> tuple[int, int]:
    return int(picture.shape[0]), int(picture.shape[1])
