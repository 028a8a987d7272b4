"""Scores of good parts by constants that have not seen them.

A threshold from scores of the pictures that made the constants would be too low: a part never
differs much from a mean it is part of. So the pictures are cut into folds of neighbouring files
(neighbours show the same light and dirt); the error maps of each fold are normalised with the
maps of the other folds, and its statistics become z with the other folds' statistics.

Statistics are always of maps normalised without their own fold, also where they make
`stat_mean` and `stat_inv_std`: under constants that have seen a picture its statistics are too
small. Those that a fold is compared with come of maps normalised without that fold too: a picture
that is far from usual, in the constants of the others, makes them look flatter and itself stand
out (docs/decisions/0025). The final map constants use all pictures, a fold more, so a new part's
statistics come out a trifle smaller than those the threshold was set on: the error is on the side
of OK.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeinspect.calibration.good_maps import GoodMaps
from edgeinspect.calibration.normalisation import MapConstants, MapSums, map_constants
from edgeinspect.calibration.rules import fit_statistics, score
from edgeinspect.calibration.statistics import blur, normalise, statistics
from edgeinspect.config import Normalisation, ScoringConfig
from edgeinspect.data.splits import neighbour_folds
from edgeinspect.errors import CalibrationError
from edgeinspect.progress import OnProgress

__all__ = [
    "MIN_GOOD",
    "CrossFit",
    "FoldSums",
    "PartScores",
    "crossfit",
    "folds_of",
    "largest_of_parts",
    "map_statistics",
]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
NumberT = TypeVar("NumberT", np.float32, np.float64)

N_FOLDS = 5  # of few pictures, too: constants of half of them are far too strict on the others
MIN_GOOD = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartScores:
    """Scores of n parts, (n,) each, a part's being the largest of its tiles'."""

    score: Doubles
    local: Doubles
    global_: Doubles


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrossFit:
    """Out-of-fold statistics of good pictures under one normalisation.

    Attributes:
        fold_constants: map constants of each fold, made without it.
        statistics: (N, S), of each image.
        references: of each fold, what it is compared with: statistics (N', S) of the other folds'
            images, by map constants that were made without it, too.
        picture: (N,), each image's picture; fold: (n,), each picture's fold.
    """

    fold_constants: tuple[MapConstants, ...]
    statistics: Floats
    references: tuple[Floats, ...]
    picture: Ints
    fold: Ints

    def score_parts(
        self, weight: Floats, rule: Floats, scoring: ScoringConfig, n_scales: int
    ) -> PartScores:
        """Each good part's scores by the other folds' constants."""
        return self.score_others(self.statistics, self.picture, weight, rule, scoring, n_scales)

    def score_others(
        self,
        rows: Floats,
        picture: Ints,
        weight: Floats,
        rule: Floats,
        scoring: ScoringConfig,
        n_scales: int,
    ) -> PartScores:
        """Scores of changed copies of the pictures, by constants that saw neither.

        Args:
            rows: (M, S), statistics by the map constants of each picture's fold.
            picture: (M,), rising; the picture that each image was made from.
        Returns: the scores of the pictures that occur, in their order.
        """
        scores = np.empty((3, len(rows)))
        for fold in range(len(self.fold_constants)):
            is_scored = self.fold[picture] == fold
            if is_scored.any():
                constants = fit_statistics(self.references[fold], weight, rule)
                tiles = score(rows[is_scored], constants, scoring, n_scales)
                scores[:, is_scored] = tiles.score, tiles.local, tiles.global_
        of_rule, local, global_ = (largest_of_parts(each, picture) for each in scores)
        return PartScores(score=of_rule, local=local, global_=global_)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldSums:
    """Sums of the error maps of each fold; `fold` (n,) is each picture's."""

    fold: Ints
    sums: tuple[MapSums, ...]

    @classmethod
    def of(cls, good: GoodMaps, n_tiles: int) -> FoldSums:
        """`n_tiles` is 1 where tile positions are not told apart.

        Raises: CalibrationError with fewer than 10 pictures.
        """
        fold = folds_of(len(good))
        sums = tuple(MapSums.empty((n_tiles, *good.cache.shape)) for _ in range(N_FOLDS))
        for picture, k in enumerate(fold):
            for tile, maps in good.maps(picture):
                sums[k].add(maps, tile)
        return cls(fold=fold, sums=sums)

    def without(self, *folds: int) -> MapSums:
        """Sums of the pictures of all other folds."""
        return MapSums.joined([one for k, one in enumerate(self.sums) if k not in folds])


def largest_of_parts(values: NDArray[NumberT], picture: Ints) -> NDArray[NumberT]:
    """The largest value (n, ...) of each picture's tiles (N, ...); `picture` (N,) rises."""
    starts = np.flatnonzero(np.diff(picture, prepend=-1))
    largest: NDArray[NumberT] = np.maximum.reduceat(values, starts)
    return largest


def folds_of(n: int) -> Ints:
    """Fold of each of n good pictures, (n,): five runs of neighbours.

    Raises: CalibrationError with fewer than 10 pictures.
    """
    if n < MIN_GOOD:
        raise CalibrationError(
            f"{n} good pictures are too few to calibrate with",
            hint=f"give at least {MIN_GOOD}, better 60 or more",
        )
    return neighbour_folds(n, N_FOLDS)


def map_statistics(
    maps: Floats, constants: MapConstants, tile: NDArray[np.int32], scoring: ScoringConfig
) -> Floats:
    """Statistics (n, S) of un-normalised error maps (n, K, I, H, W) at tile positions (n,)."""
    return statistics(blur(normalise(maps, constants, tile), scoring.blur_px), scoring)


def crossfit(
    good: GoodMaps,
    folds: FoldSums,
    how: Normalisation,
    block_sides: tuple[int, ...],
    scoring: ScoringConfig,
    *,
    on_progress: OnProgress,
) -> CrossFit:
    """Out-of-fold statistics of all good pictures under one normalisation.

    Args:
        folds: of the pictures, with as many tile places as `pixel` needs if that is the
            normalisation.
        block_sides: px of a mask block of each scale.
    """
    step = f"cross-fitting by {how.value}"
    own_constants = []
    found: list[Floats] = []  # of each fold (N_FOLDS, n, S): without it and each other
    for k in range(N_FOLDS):
        constants = [
            map_constants(folds.without(k, other), how, block_sides) for other in range(N_FOLDS)
        ]
        own_constants.append(constants[k])
        rows = []
        for picture in np.flatnonzero(folds.fold == k):
            on_progress(step, int(picture), len(good))
            for tile, maps in good.maps(int(picture)):
                rows.append([map_statistics(maps, each, tile, scoring) for each in constants])
        found.append(np.concatenate(rows, axis=1))
    on_progress(step, len(good), len(good))
    return CrossFit(
        fold_constants=tuple(own_constants),
        statistics=np.concatenate([found[k][k] for k in range(N_FOLDS)]),
        references=tuple(
            np.concatenate([found[other][k] for other in range(N_FOLDS) if other != k])
            for k in range(N_FOLDS)
        ),
        picture=good.picture_of_tile,
        fold=folds.fold,
    )
