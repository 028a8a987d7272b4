"""Pictures in, verdicts out: what `edgeinspect.open` gives, and what `run` itself uses.

Size, resize rule, tiling and colour order come from the bundle. A part is all tiles of its
picture: its scores are the largest of theirs, its map is stitched from theirs, and it is OK only
when its score is finite and not above the threshold, and its picture not blank.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Normalisation, Precision
from edgeinspect.data.tiling import TileGrid, cut_tiles, plan_tiles, stitch_tiles
from edgeinspect.errors import ImageError
from edgeinspect.numbers import width_by_height
from edgeinspect.runtime.blank import BlankCheck
from edgeinspect.runtime.inspection import Inspection, Reason, Timing, Verdict
from edgeinspect.runtime.own_thread import OwnThreadSession
from edgeinspect.runtime.regions import MapLevels, find_regions
from edgeinspect.runtime.session import Scores, Session, open_session

__all__ = ["Inspector", "Prepared", "check_picture", "open_inspector"]

Picture = NDArray[np.uint8]

_UNTIMED = Timing()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A picture cut for the session: tiles (n, size, size, 3) uint8, each at its position (n,).

    `blank` says why it shows no part; None if it may show one.
    """

    grid: TileGrid
    tiles: NDArray[np.uint8]
    positions: NDArray[np.int32]
    blank: str | None

    @property
    def n_tiles(self) -> int:
        return len(self.tiles)


def open_inspector(
    path: str | Path,
    runtime: str = "auto",
    threads: int | None = None,
    batch: int = 1,
    maps_of_all: bool = True,
    precision: str | None = None,
) -> Inspector:
    """Open a calibrated bundle; `edgeinspect.open` is this function.

    Args:
        runtime: one of `edgeinspect.runtime.session.RUNTIMES`.
        threads: of the CPU for one call; None leaves it to the runtime.
        batch: tiles in one call.
        maps_of_all: also of parts that are OK; without, a GPU keeps those, which is faster.
        precision: of the graph, such as "int8"; None is FP16 on GPUs, FP32 on CPUs.
    Raises: BundleError, ConfigError, NotCalibratedError, EngineError.
    """
    wanted = None if precision is None else Precision.parse(precision)
    bundle = read_bundle(Path(path))
    session = open_session(bundle, runtime=runtime, precision=wanted, batch=batch, threads=threads)
    return Inspector(bundle, session, batch=batch, maps_of_all=maps_of_all)


class Inspector:
    """An open bundle that judges pictures; use it inside a `with`."""

    def __init__(
        self, bundle: Bundle, session: Session, *, batch: int = 1, maps_of_all: bool = True
    ) -> None:
        assert batch >= 1, f"batch is {batch}"
        self.bundle = bundle
        self.batch = batch
        self._session = session
        self._calibration = bundle.require_calibration()
        self._map_above = None if maps_of_all else self.threshold
        self._levels = MapLevels(self._calibration, bundle.config.scoring)
        self._blank = BlankCheck(self._calibration.good_appearance)

    @property
    def runtime(self) -> str:
        """The runtime that was opened, such as "onnxruntime"."""
        return self._session.name

    @property
    def precision(self) -> Precision | None:
        """Of the graph that was opened."""
        return self._session.precision

    @property
    def engine(self) -> str | None:
        """The fingerprint of the engine that was opened; None for a runtime that has none."""
        return self._session.engine

    @property
    def white_level_16bit(self) -> int:
        """What white is in files of 16 bits, for `read_picture`: as the bundle learned it."""
        return self.bundle.config.preprocess.white_level_16bit

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
        if isinstance(pictures, str | bytes | PathLike):
            check_picture(pictures)
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
            raise ImageError(
                f"a picture of {width_by_height(grid.picture_hw)} px is cut into other tiles than"
                " the aligned pictures that the bundle was calibrated on",
                hint="use pictures of that size, or calibrate with --normalisation block",
            )

    def prepare(self, picture: Picture) -> Prepared:
        """Resize and cut a picture. Raises: ImageError if it cannot be judged."""
        check_picture(picture)
        grid = self.plan(picture)
        positions = np.arange(grid.n_tiles, dtype=np.int32)
        if self._calibration.constants.n_tiles == 1:
            positions = np.zeros_like(positions)
        return Prepared(
            grid=grid,
            tiles=cut_tiles(picture, grid),
            positions=positions,
            blank=self._blank.why(picture),
        )

    def infer(self, parts: Sequence[Prepared]) -> list[Scores]:
        """Scores of each part's tiles; calls of `batch` tiles may span parts.

        Raises: EngineError. The only step that uses the session.
        """
        if not parts:
            return []
        tiles = np.concatenate([part.tiles for part in parts])
        positions = np.concatenate([part.positions for part in parts])
        scores = self._infer_tiles(tiles, positions, self._map_above)
        return [
            self._infer_tiles(part.tiles, part.positions, None)
            if self._lacks_maps(found)
            else found
            for part, found in zip(parts, scores.split([p.n_tiles for p in parts]), strict=True)
        ]

    def judge(self, scores: Scores, part: Prepared, timing: Timing = _UNTIMED) -> Inspection:
        """Verdict, regions and map of a part from the scores of its tiles.

        `timing` holds what was measured before; `post_ms` is added.
        """
        start = time.perf_counter()
        verdict, reason, detail = _verdict(scores.score, self.threshold, part.blank)
        worst = int(np.argmax(scores.score)) if reason is None else 0
        levels = self._levels.of(scores)
        is_ng = scores.score > self.threshold
        grid = part.grid
        regions = find_regions(scores.anomaly_map, levels, is_ng, grid) if reason is None else ()
        has_map = scores.has_map.all()
        return Inspection(
            verdict=verdict,
            reason=reason,
            detail=detail,
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
            timing=replace(timing, post_ms=1e3 * (time.perf_counter() - start)),
        )

    def not_inspected(
        self,
        reason: Reason,
        detail: str,
        *,
        picture_hw: tuple[int, int] = (0, 0),
        timing: Timing = _UNTIMED,
    ) -> Inspection:
        """What stands for a part without a score; `picture_hw` (0, 0) if there is no picture."""
        return Inspection(
            verdict=Verdict.NOT_INSPECTED,
            reason=reason,
            detail=detail,
            threshold=self.threshold,
            picture_hw=picture_hw,
            timing=timing,
        )

    def _inspect(self, pictures: list[Picture]) -> list[Inspection]:
        start = time.perf_counter()
        prepared = [self._prepared_or_error(picture) for picture in pictures]
        cut = time.perf_counter()
        parts = [part for part in prepared if isinstance(part, Prepared)]
        found = iter(self.infer(parts))
        inferred_ms = 1e3 * (time.perf_counter() - cut)
        prepare_ms = 1e3 * (cut - start) / max(1, len(pictures))
        timing = Timing(prepare_ms=prepare_ms, infer_ms=inferred_ms)
        return [
            self.judge(next(found), part, timing)
            if isinstance(part, Prepared)
            else self.not_inspected(
                Reason.SIZE,
                str(part),
                picture_hw=_shape(picture),
                timing=Timing(prepare_ms=prepare_ms),
            )
            for picture, part in zip(pictures, prepared, strict=True)
        ]

    def _prepared_or_error(self, picture: Picture) -> Prepared | ImageError:
        check_picture(picture)
        try:
            return self.prepare(picture)
        except ImageError as error:
            return error

    def _infer_tiles(
        self, images: NDArray[np.uint8], tile: NDArray[np.int32], map_above: float | None
    ) -> Scores:
        steps = [slice(i, i + self.batch) for i in range(0, len(images), self.batch)]
        infer = self._session.infer
        if len(steps) == 1:
            return infer(images, tile, map_above=map_above)
        return Scores.join([infer(images[s], tile[s], map_above=map_above) for s in steps])

    def _lacks_maps(self, part: Scores) -> bool:
        """Whether a part is NG by some of its tiles, and maps of the others were not copied."""
        return not part.has_map.all() and bool((part.score > self.threshold).any())

    @property
    def can_restart(self) -> bool:
        """Whether its session knows how to open again after it failed."""
        return isinstance(self._session, OwnThreadSession)

    def restart(self) -> None:
        """Open the session again.

        Raises: BundleError if its bundle is another one by now; EngineError, and what else opening
            raises.
        """
        assert isinstance(self._session, OwnThreadSession), "look at `can_restart` first"
        self.bundle.check_graphs()
        self._session.restart()

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Inspector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _verdict(
    score: NDArray[np.float32], threshold: float, blank: str | None
) -> tuple[Verdict, Reason | None, str | None]:
    """The verdict of a part from the scores of its tiles, why it has none, and that in words.

    Nothing that is not finite is OK, and no blank picture.
    """
    if not np.isfinite(score).all():
        detail = "the graph gave a score that is no finite number"
        return Verdict.NOT_INSPECTED, Reason.NON_FINITE, detail
    if float(score.max()) > threshold:
        return Verdict.NG, None, None
    if blank is not None:
        return Verdict.NOT_INSPECTED, Reason.BLANK, blank
    return Verdict.OK, None, None


def check_picture(picture: object) -> None:
    """Raise ImageError unless it is an array uint8 (H, W, 3) or (H, W), of any size."""
    if not isinstance(picture, np.ndarray):
        raise ImageError(
            f"a picture is of type {type(picture).__name__}, not an array",
            hint="edgeinspect.data.images.read_picture(path) reads a file",
        )
    shape = picture.shape
    is_picture = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
    if picture.dtype != np.uint8 or not is_picture:
        raise ImageError(
            f"a picture is {picture.dtype} {shape}",
            hint="pass uint8 (H, W, 3) in RGB, or (H, W) in grey",
        )


def _shape(picture: Picture) -> tuple[int, int]:
    return int(picture.shape[0]), int(picture.shape[1])
