"""How features are best compared, without a generator: one change at a time from what we do.

    python benchmarks/feature_choices.py DATA_ROOT [--parts kolektor_sdd,...]

A generator that has learnt nothing leaves the distance of a token's features to those that are
usual on good parts; after minutes on a CPU that distance is what finds defects (docs/quality.md).
So choices about features are made here, in minutes, where training would take hours: the window
whose mean a feature is, the levels, their scaling, a memory of good features in place of their mean
or beside it (then their maps are added), how it is chosen, a linear prediction from visible tokens
in place of the mean, normalisation by position.

Features of a part's pictures are taken once. Good pictures are divided as `fit` divides them; the
score is a simple peak rule (the largest token, the mean of the three largest, the mean of all, each
in units of the good ones' spread). A choice is made by `validation`, the mean AUROC of kinds of
synthetic defects of good pictures; the test split is reported. What the product's own scoring says
of some of these is in `ablations.py` (study `memory`).

Results: `feature_choices.json` and `feature_choices.md`.
"""

from __future__ import annotations

import argparse
import enum
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from quality import N_COPIES, PARTS, RESULTS, SEVERITIES, figure, hardware, screw_held_out, table
from torch import Tensor

from edgeinspect import metrics
from edgeinspect.config import PreprocessConfig
from edgeinspect.data.images import read_picture
from edgeinspect.data.layout import LabelledPicture, find_good, find_test
from edgeinspect.data.loading import load_tiles, survey_pictures
from edgeinspect.data.synthetic.disturbing import Disturbance, disturb_part
from edgeinspect.data.synthetic.pasting import paste_defect
from edgeinspect.data.tiling import choose_resize, cut_tiles
from edgeinspect.fitting import split_good
from edgeinspect.model.backbone import Backbone
from edgeinspect.model.coreset import greedy_coreset
from edgeinspect.model.features import Moments, Whitening, window_mean
from edgeinspect.model.tokens import to_tokens
from edgeinspect.training.backbone_weights import read_backbone_weights
from edgeinspect.writing import write_atomically

BACKBONE, STRIDES = "tf_efficientnet_lite0", (8, 16, 32)
SIZE, N_SIDE = 256, 16
HOLDOUT = 0.1
PASTED = "pasted"
KINDS = (PASTED, *(kind.value for kind in Disturbance))
N_TOP = 3  # tokens
MOST_CELLS = 60_000  # that a memory is chosen from
BLOCKS, RIDGE = (2, 4, 8), 0.1  # of the prediction: sides in tokens

Tiles = NDArray[np.uint8]
Scores = NDArray[np.float64]


class Scaling(enum.Enum):
    """What features are divided by before they are compared."""

    NONE = enum.auto()
    CHANNEL = enum.auto()
    WHITENED = enum.auto()


class Usual(enum.Enum):
    """What features are compared with: one of these of good parts' features."""

    MEAN = enum.auto()
    COVERING = enum.auto()  # the nearest of those that cover the others best
    DRAWN = enum.auto()  # the nearest of some drawn by chance
    PREDICTED = enum.auto()  # by the visible half of the tokens, for each mask scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How tokens are made and compared."""

    window: int = 3
    levels: tuple[int, ...] = (0, 1, 2)  # of STRIDES
    scaling: Scaling = Scaling.WHITENED
    usual: Usual = Usual.MEAN
    n_remembered: int = 2000
    by_position: bool = True


def _memory(usual: Usual = Usual.COVERING, n_remembered: int = 2000, **other: Any) -> Choice:
    other = {"levels": (0, 1), "scaling": Scaling.NONE, **other}
    return Choice(usual=usual, n_remembered=n_remembered, **other)


# The maps of all choices of a row are added.
CHOICES: dict[str, tuple[Choice, ...]] = {
    "mean and memory (default)": (Choice(), _memory()),
    "mean": (Choice(),),
    "memory": (_memory(),),
    "mean, window of 1": (Choice(window=1),),
    "mean, window of 5": (Choice(window=5),),
    "mean, stride 8 alone": (Choice(levels=(0,)),),
    "mean, stride 16 alone": (Choice(levels=(1,)),),
    "mean, stride 32 alone": (Choice(levels=(2,)),),
    "mean, strides 8 and 16": (Choice(levels=(0, 1)),),
    "mean, by channel": (Choice(scaling=Scaling.CHANNEL),),
    "mean, not by position": (Choice(by_position=False),),
    "predicted": (Choice(usual=Usual.PREDICTED),),
    "memory, by channel": (_memory(scaling=Scaling.CHANNEL),),
    "memory, whitened": (_memory(scaling=Scaling.WHITENED),),
    "memory, all strides": (_memory(levels=(0, 1, 2)),),
    "memory, drawn by chance": (_memory(Usual.DRAWN),),
    "mean and memory of 500": (Choice(), _memory(n_remembered=500)),
    "mean and memory, by channel": (Choice(), _memory(scaling=Scaling.CHANNEL)),
    "mean and memory, all strides": (Choice(), _memory(levels=(0, 1, 2))),
    "mean and memory, drawn by chance": (Choice(), _memory(Usual.DRAWN)),
    "mean and two memories": (Choice(), _memory(), _memory(levels=(0, 1, 2))),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Levels (n, C, g, g) float16 of all tiles of some pictures, and each tile's picture (n,)."""

    levels: list[Tensor]
    picture: NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder that holds the parts")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    backbone = Backbone(BACKBONE, STRIDES)
    backbone.load(read_backbone_weights(None, BACKBONE).tensors)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts.split(","):
            data = options.data_root / part
            if part == "mvtec_screw":
                data = screw_held_out(data, Path(folder) / part)
            rows += _measure(part, data, backbone)
    _write(rows, options.out)


def _measure(part: str, data: Path, backbone: Backbone) -> list[dict[str, Any]]:
    test = find_test(data)
    sets = _collect(data, test, backbone)
    labels = [not picture.is_good for picture in test]
    rows = []
    for name, choices in CHOICES.items():
        scores = score(choices, sets)
        found = {kind: _auroc(scores["selection"], scores[kind]) for kind in KINDS}
        auroc = metrics.auroc(list(scores["test"]), labels)
        validation = float(np.mean(list(found.values())))
        rows.append(
            {"part": part, "choice": name, "validation": validation, **found, "auroc": auroc}
        )
        print(rows[-1], flush=True)
    return rows


def _auroc(good: Scores, harmed: Scores) -> float:
    labels = [False] * len(good) + [True] * len(harmed)
    return metrics.auroc([*good, *harmed], labels) or 0.0


def _collect(data: Path, test: list[LabelledPicture], backbone: Backbone) -> dict[str, Pictures]:
    good = find_good(data)
    resize = choose_resize(survey_pictures(good).shapes)
    preprocess = replace(PreprocessConfig(), resize=resize)
    split = split_good(good, HOLDOUT)
    paths = {
        "training": split.training,
        "selection": split.selection,
        "calibration": split.calibration,
        "test": [picture.path for picture in test],
    }
    sets = {
        name: _features((load_tiles(path, preprocess).tiles for path in own), backbone)
        for name, own in paths.items()
    }
    for kind in KINDS:
        sets[kind] = _features(_harmed(split.selection, preprocess, kind), backbone)
    return sets


def _harmed(paths: list[Path], preprocess: PreprocessConfig, kind: str) -> Iterable[Tiles]:
    """Tiles of each picture with a defect, at every severity and copy."""
    for copy in range(N_COPIES):
        for i, path in enumerate(paths):
            picture, grid = read_picture(path), load_tiles(path, preprocess).grid
            for severity in SEVERITIES:
                rng = np.random.default_rng((0, copy, i))
                if kind == PASTED:
                    harmed = paste_defect(picture, rng, severity=severity).picture
                else:
                    kinds = [Disturbance(kind)]
                    harmed = disturb_part(picture, rng, severity=severity, kinds=kinds).picture
                yield cut_tiles(harmed, grid)


@torch.no_grad()
def _features(pictures: Iterable[Tiles], backbone: Backbone) -> Pictures:
    levels: list[list[Tensor]] = [[] for _ in STRIDES]
    owner: list[int] = []
    for number, tiles in enumerate(pictures):
        images = torch.from_numpy(np.ascontiguousarray(tiles)).permute(0, 3, 1, 2) / 255
        for place, level in enumerate(backbone(images)):
            levels[place].append(level.half())
        owner += [number] * len(tiles)
    return Pictures(levels=[torch.cat(own) for own in levels], picture=np.array(owner))


def score(choices: Sequence[Choice], sets: Mapping[str, Pictures]) -> dict[str, Scores]:
    """A score a picture for every set; what is learnt is learnt from training and calibration."""
    maps = [_maps(choice, sets) for choice in choices]
    values = {name: _statistics(sum(own[name] for own in maps)) for name in sets}
    mean, spread = values["calibration"].mean(0), values["calibration"].std(0)
    return {
        name: _worst_tile((own - mean).div(spread).amax(dim=1), sets[name].picture)
        for name, own in values.items()
    }


def _maps(choice: Choice, sets: Mapping[str, Pictures]) -> dict[str, Tensor]:
    """(n, N) of every set, against good parts at the same position."""
    tokens = {name: _tokens(choice, pictures) for name, pictures in sets.items()}
    measure = _distance(choice, tokens["training"])
    maps = {name: measure(own) for name, own in tokens.items()}
    mean, spread = maps["calibration"].mean(0), maps["calibration"].std(0)
    if not choice.by_position:
        mean, spread = mean.mean(), maps["calibration"].std()
    return {name: (own - mean) / spread for name, own in maps.items()}


def _tokens(choice: Choice, pictures: Pictures) -> Tensor:
    levels = [window_mean(pictures.levels[i].float(), choice.window) for i in choice.levels]
    return torch.cat([to_tokens(level, N_SIDE) for level in levels], dim=-1)


def _distance(choice: Choice, training: Tensor) -> Callable[[Tensor], Tensor]:
    """Tokens (n, N, C) to distances (n, N) from what is usual in training."""
    cells = training.flatten(0, 1)
    scale = _scaling(choice.scaling, cells)
    if choice.usual is Usual.MEAN:
        return lambda tokens: scale(tokens).square().mean(-1)
    if choice.usual is Usual.PREDICTED:
        predict = _prediction(scale(training))
        return lambda tokens: (scale(tokens) - predict(scale(tokens))).square().mean(dim=(0, -1))
    cells = scale(cells[:: -(-len(cells) // MOST_CELLS)])
    if choice.usual is Usual.COVERING:
        chosen = greedy_coreset(cells, choice.n_remembered, first=0)
    else:
        chosen = torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))
    kept = cells[chosen[: choice.n_remembered]]
    return lambda tokens: torch.stack([torch.cdist(scale(own), kept).amin(1) for own in tokens])


def _scaling(scaling: Scaling, cells: Tensor) -> Whitening:
    scale = Whitening(cells.shape[1])  # as it is made: none
    if scaling is Scaling.CHANNEL:
        scale.mean, scale.matrix = cells.mean(0), torch.diag(1 / cells.std(0))
    elif scaling is Scaling.WHITENED:
        moments = Moments(cells.shape[1])
        moments.add(cells)
        scale.set(moments)
    return scale


def _prediction(training: Tensor) -> Callable[[Tensor], Tensor]:
    """Ridge regression of each token on a mean of the visible ones near it and one of all visible.

    Tokens (n, N, C) to (I, n, N, C). The most that a generator that sees features could be told:
    visible features have seen what is removed beside them, as far as the backbone looks.
    """
    row, column = (
        place.flatten() for place in torch.meshgrid(*[torch.arange(N_SIDE)] * 2, indexing="ij")
    )
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
    top = maps.topk(N_TOP, dim=1).values
    return torch.stack([top[:, 0], top.mean(1), maps.mean(1)], dim=1)


def _worst_tile(scores: Tensor, picture: NDArray[np.int64]) -> Scores:
    worst = np.full(picture.max() + 1, -np.inf)
    np.maximum.at(worst, picture, scores.double().numpy())
    return worst


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    report = {"hardware": hardware(), "rows": rows}
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    write_atomically(out / "feature_choices.json", text.encode() + b"\n")
    parts = list(dict.fromkeys(row["part"] for row in rows))
    head = "| choice |" + "".join(f" {part}: validation | AUROC |" for part in parts)
    head += " mean validation |"
    lines = ["# How features are compared, without a generator", ""]
    lines += table(head, [_cells(name, rows) for name in CHOICES])
    write_atomically(out / "feature_choices.md", ("\n".join(lines) + "\n").encode())


def _cells(name: str, rows: list[dict[str, Any]]) -> list[str]:
    own = [row for row in rows if row["choice"] == name]
    figures = [figure(row[key]) for row in own for key in ("validation", "auroc")]
    return [name, *figures, figure(float(np.mean([row["validation"] for row in own])))]


if __name__ == "__main__":
    main()
