"""Distances of features from what is usual on good parts, and scores of them: see feature_choices.

What a token's or an image's features are compared with (`Distance`), what is made of several
(`Choice`), and a simple peak rule over both, by folds of good pictures.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edgeinspect.calibration.normalisation import PRIOR_PICTURES
from edgeinspect.data.splits import neighbour_folds, spread_places
from edgeinspect.model.coreset import greedy_coreset
from edgeinspect.model.features import window_mean
from edgeinspect.model.tokens import to_tokens
from edgeinspect.model.whitening import Moments, Whitening
from edgeinspect.model.whole import WholePart

__all__ = ["Choice", "Distance", "Known", "Pictures", "Scaling", "Scores", "Sets", "Usual", "score"]

N_FOLDS = 5
N_CELLS = 16 * 16  # of an image of 256 px; of larger ones the same shares count as of these
N_TOP = 3  # cells whose mean is a statistic
MOST_CELLS = 60_000  # that a memory is chosen from
OF_TOKENS = 1  # the level of stride 16
BLOCKS, RIDGE = (2, 4, 8), 0.1  # of the prediction: sides in tokens

Scores = NDArray[np.float64]


class Scaling(enum.Enum):
    """What features are divided by before they are compared; HALF is the root of WHITENED."""

    NONE = enum.auto()
    CHANNEL = enum.auto()
    HALF = enum.auto()
    WHITENED = enum.auto()


class Usual(enum.Enum):
    """What features are compared with: one of these of good parts' features."""

    MEAN = enum.auto()
    COVERING = enum.auto()  # the nearest of those that cover the others best
    DRAWN = enum.auto()  # the nearest of some drawn by chance
    PREDICTED = enum.auto()  # by the visible half of the tokens, for each mask scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How tokens are made and compared; `weight` counts where maps are added.

    Tokens are as large as the cells of stride 16, of the image (`octave` 0) or of its half (1).
    """

    octave: int = 0
    window: int = 3
    levels: tuple[int, ...] = (0, 1, 2)  # of STRIDES
    scaling: Scaling = Scaling.WHITENED
    usual: Usual = Usual.MEAN
    n_remembered: int = 2000
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Distances whose maps are added, and octaves whose whole is one more distance beside them.

    What is usual is taken from `share` of the training images, evenly spread.
    """

    distances: tuple[Distance, ...] = ()
    share: float = 1.0
    by_position: bool = True
    whole: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Levels (n, C, g, g) float16 of all tiles of some pictures, and each tile's picture (n,).

    One list of levels an octave.
    """

    octaves: list[list[Tensor]]
    picture: NDArray[np.int64]


Sets = dict[Any, Pictures]
Known = dict[tuple[Distance, float], dict[Any, Tensor]]


def score(choice: Choice, sets: Sets, known: Known) -> dict[Any, Scores]:
    """A score a picture: of good ones and their copies out of fold, of the test by calibration.

    Args:
        sets: `training`, `calibration`, `good`, `test`, and any copies of all of `good`.
        known: distances that earlier choices took from these sets; those of this one are added.
    """
    measured = _measured(choice, sets, known)
    picture = sets["good"].picture
    fold = neighbour_folds(int(picture.max()) + 1, N_FOLDS)[picture]
    judged = [name for name in sets if name not in ("training", "calibration", "test")]
    values = {name: torch.empty(len(picture)) for name in judged}
    for own in (torch.from_numpy(fold == k) for k in range(N_FOLDS)):
        judge = _judge(choice, [d["good"][~own] for d in measured])
        for name in judged:
            values[name][own] = judge([d[name][own] for d in measured])
    values["test"] = _judge(choice, [d["calibration"] for d in measured])(
        [d["test"] for d in measured]
    )
    return {name: _worst_tile(own, sets[name].picture) for name, own in values.items()}


def _measured(choice: Choice, sets: Sets, known: Known) -> list[dict[Any, Tensor]]:
    """Of every set: (n, N) of each distance, then, if asked for, (n, 1) of the whole."""
    found = []
    sets = {**sets, "training": _thinned(sets["training"], choice.share)}
    for distance in choice.distances:
        key = (replace(distance, weight=1.0), choice.share)
        if key not in known:
            measure = _distance(distance, _tokens(distance, sets["training"]))
            known[key] = {name: measure(_tokens(distance, own)) for name, own in sets.items()}
        found.append(known[key])
    if choice.whole:
        means = {name: _means(choice.whole, pictures) for name, pictures in sets.items()}
        whole = WholePart(means["training"].shape[1])
        whole.set(means["training"])
        distances = ((name, whole.whiten(own)) for name, own in means.items())
        found.append({name: d.square().mean(1, keepdim=True).sqrt() for name, d in distances})
    return found


def _thinned(pictures: Pictures, share: float) -> Pictures:
    n = len(pictures.picture)
    kept = spread_places(n, round(share * n))
    return Pictures(
        octaves=[[level[kept] for level in levels] for levels in pictures.octaves],
        picture=pictures.picture[kept],
    )


def _means(octaves: tuple[int, ...], pictures: Pictures) -> Tensor:
    """The mean of every channel of every level: (n, C)."""
    levels = [level for octave in octaves for level in pictures.octaves[octave]]
    return torch.cat([level.float().mean(dim=(2, 3)) for level in levels], dim=1)


def _judge(choice: Choice, good: list[Tensor]) -> Callable[[list[Tensor]], Tensor]:
    """From good images' distances: other images' to scores (n,)."""
    weights = [distance.weight for distance in choice.distances]
    units = [_usual(maps)[1].mean() for maps in good]
    n_cells = max(maps.shape[1] for maps in good)

    def joined(maps: list[Tensor]) -> Tensor:
        parts = zip(weights, maps, units, strict=False)  # the whole is no map
        scaled = [_enlarged(weight * own / unit, n_cells) for weight, own, unit in parts]
        return sum(scaled, torch.zeros(()))

    mean, spread = _usual(joined(good)) if weights else (torch.zeros(()), torch.ones(()))
    if not choice.by_position:
        mean, spread = mean.mean(), joined(good).std()

    def numbers(maps: list[Tensor]) -> Tensor:
        of_places = [_statistics((joined(maps) - mean) / spread)] if weights else []
        return torch.cat([*of_places, *maps[len(weights) :]], dim=1)

    usual, varies = numbers(good).mean(0), numbers(good).std(0)
    return lambda maps: ((numbers(maps) - usual) / varies).amax(dim=1)


def _usual(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread (N,) at each position; the spread drawn to that of all, as calibration's."""
    n, variance = len(maps), maps.var(0)
    variance = (n * variance + PRIOR_PICTURES * variance.mean()) / (n + PRIOR_PICTURES)
    return maps.mean(0), variance.sqrt()


def _enlarged(maps: Tensor, n_cells: int) -> Tensor:
    """Maps (n, N) of square grids to those of one of `n_cells`."""
    if maps.shape[1] == n_cells:
        return maps
    side, larger = math.isqrt(maps.shape[1]), math.isqrt(n_cells)
    grids = maps.unflatten(1, (1, side, side))
    return F.interpolate(grids, (larger, larger), mode="bilinear", align_corners=False).flatten(1)


def _tokens(distance: Distance, pictures: Pictures) -> Tensor:
    own = pictures.octaves[distance.octave]
    levels = [window_mean(own[i].float(), distance.window) for i in distance.levels]
    return torch.cat([to_tokens(level, own[OF_TOKENS].shape[-1]) for level in levels], dim=-1)


def _distance(distance: Distance, training: Tensor) -> Callable[[Tensor], Tensor]:
    """Tokens (n, N, C) to distances (n, N) from what is usual in training."""
    cells = training.flatten(0, 1)
    scale = _scaling(distance.scaling, cells)
    if distance.usual is Usual.MEAN:
        return lambda tokens: scale(tokens).square().mean(-1)
    if distance.usual is Usual.PREDICTED:
        predict = _prediction(scale(training))
        return lambda tokens: (scale(tokens) - predict(scale(tokens))).square().mean(dim=(0, -1))
    drawn = torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))
    most = MOST_CELLS * training.shape[1] // N_CELLS
    cells = scale(cells[drawn[:most].sort().values])
    if distance.usual is Usual.COVERING:
        chosen = greedy_coreset(cells, distance.n_remembered, first=0)
    else:
        chosen = torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))
    kept = cells[chosen[: distance.n_remembered]]
    return lambda tokens: torch.stack([torch.cdist(scale(own), kept).amin(1) for own in tokens])


def _scaling(scaling: Scaling, cells: Tensor) -> Whitening:
    scale = Whitening(cells.shape[1])  # as it is made: none
    if scaling is Scaling.CHANNEL:
        scale.mean, scale.matrix = cells.mean(0), torch.diag(1 / cells.std(0))
    elif scaling is not Scaling.NONE:
        moments = Moments(cells.shape[1])
        moments.add(cells)
        share = 0.5 if scaling is Scaling.HALF else 1.0
        scale.set(moments.mean(), moments.covariance(), share=share)
    return scale


def _prediction(training: Tensor) -> Callable[[Tensor], Tensor]:
    """Ridge regression of each token on a mean of the visible ones near it and one of all visible.

    Tokens (n, N, C) to (I, n, N, C). The most that a generator that sees features could be told:
    visible features have seen what is removed beside them, as far as the backbone looks.
    """
    places = torch.arange(math.isqrt(training.shape[1]))
    row, column = (grid.flatten() for grid in torch.meshgrid(places, places, indexing="ij"))
    far = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    fits: list[tuple[Tensor, Tensor, Tensor]] = []
    for block in BLOCKS:
        half = (row // block + column // block) % 2
        is_seen = (half[:, None] != half).float()
        near = is_seen * torch.exp(-far / (2 * (0.75 * block) ** 2))
        near, whole = (w / w.sum(1, keepdim=True) for w in (near, is_seen))
        given = torch.cat([near @ training, whole @ training], dim=-1).flatten(0, 1).double()
        products = given.mT @ given / len(given)
        ridge = RIDGE * products.diagonal().mean() * torch.eye(len(products))
        wanted = given.mT @ training.flatten(0, 1).double() / len(given)
        fits.append((near, whole, torch.linalg.solve(products + ridge, wanted).float()))
    return lambda tokens: torch.stack(
        [torch.cat([near @ tokens, whole @ tokens], dim=-1) @ fit for near, whole, fit in fits]
    )


def _statistics(maps: Tensor) -> Tensor:
    top = maps.topk(N_TOP * maps.shape[1] // N_CELLS, dim=1).values
    return torch.stack([top[:, 0], top.mean(1), maps.mean(1)], dim=1)


def _worst_tile(scores: Tensor, picture: NDArray[np.int64]) -> Scores:
    worst = np.full(picture.max() + 1, -np.inf)
    np.maximum.at(worst, picture, scores.double().numpy())
    return worst
