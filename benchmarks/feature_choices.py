"""How features are best compared, without a generator: one change at a time from what we do.

    python -m benchmarks.feature_choices DATA_ROOT [--size 512] [--parts ...] [--choice NAME]

A generator that has learnt nothing leaves the distance of a token's features to those that are
usual on good parts; after minutes on a CPU that distance is what finds defects (docs/quality.md).
So choices about features are made here, in minutes, where training would take hours: the window
whose mean a feature is, the levels, their scaling, a memory of good features in place of their mean
or beside it (then their maps are added; it holds 2000 unless the row says more or less), how it is
chosen, from how many good images, a linear prediction from visible tokens in place of the mean,
normalisation by position, a distance of the whole image beside the places. With images of 512 px,
their halves beside them or alone: what preset `fine` looks at.

Features of a part's pictures are taken once. Good pictures are divided as `fit` divides them. Those
that do not train are scored by constants of the other folds, and so are their copies with synthetic
defects: with a selection's 9 to 20 pictures alone, what separates two choices would drown. The
score is a simple peak rule (the largest token, the mean of the three largest, the mean of all, the
whole, each in units of the good ones' spread). A choice is made by `validation`, the mean AUROC
over kinds and severities; the test split, scored by constants of the calibration pictures, is
reported. What the product's own scoring says of some of these is in `ablations.py` (study
`memory`).

Results: `feature_choices.json` and `feature_choices.md`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmarks.feature_distances import (
    Choice,
    Distance,
    Known,
    Pictures,
    Scaling,
    Sets,
    Usual,
    score,
)
from benchmarks.parts import KINDS, PARTS, auroc_against, screw_held_out, with_defect
from benchmarks.reports import RESULTS, figure, hardware, table, with_others
from edgeinspect import metrics
from edgeinspect.config import PreprocessConfig
from edgeinspect.data.images import read_picture
from edgeinspect.data.layout import LabelledPicture, find_good, find_test
from edgeinspect.data.loading import load_tiles, survey_pictures
from edgeinspect.data.tiling import choose_resize, cut_tiles
from edgeinspect.fitting import split_good
from edgeinspect.model.backbone import Backbone
from edgeinspect.training.backbone_weights import read_backbone_weights
from edgeinspect.writing import write_atomically

BACKBONE, STRIDES = "tf_efficientnet_lite0", (8, 16, 32)
HOLDOUT = 0.1
SEVERITIES = (0.25, 0.5, 1.0)  # from hardly seen to mostly seen

HARMS = tuple((kind, severity) for kind in KINDS for severity in SEVERITIES)

Tiles = NDArray[np.uint8]


MEAN = Distance()


def _memory(**other: Any) -> Distance:
    usual = {"usual": Usual.COVERING, "levels": (0, 1), "scaling": Scaling.HALF}
    return Distance(**{**usual, **other})


def _both(weight: float = 4.0, **other: Any) -> tuple[Distance, ...]:
    return (MEAN, _memory(weight=weight, **other))


def _large(*octaves: int, mean: int | None = 1, whole: tuple[int, ...] = (1,)) -> Choice:
    """Memories of 8000 of images (octave 0) or their halves (1), and what stands beside them."""
    memories = [_memory(octave=octave, n_remembered=8000, weight=4.0) for octave in octaves]
    means = [] if mean is None else [Distance(octave=mean)]
    return Choice(distances=(*means, *memories), whole=whole)


def _unplaced(choice: Choice) -> Choice:
    return replace(choice, by_position=False)


SMALL: dict[str, Choice] = {
    "mean, memory of 8000, whole (default)": Choice(distances=_both(n_remembered=8000), whole=(0,)),
    "the same, from half of the good images": Choice(
        distances=_both(n_remembered=8000), whole=(0,), share=0.5
    ),
    "the same, from a quarter of the good images": Choice(
        distances=_both(n_remembered=8000), whole=(0,), share=0.25
    ),
    "the same, the memory whitened": Choice(
        distances=_both(n_remembered=8000, scaling=Scaling.WHITENED), whole=(0,)
    ),
    "mean, memory, whole": Choice(distances=_both(), whole=(0,)),
    "mean and memory": Choice(distances=_both()),
    "memory and whole": Choice(distances=(_memory(),), whole=(0,)),
    "memory": Choice(distances=(_memory(),)),
    "mean": Choice(distances=(MEAN,)),
    "whole": Choice(whole=(0,)),
    "memory of weight 1": Choice(distances=_both(1.0), whole=(0,)),
    "memory of weight 2": Choice(distances=_both(2.0), whole=(0,)),
    "memory of weight 8": Choice(distances=_both(8.0), whole=(0,)),
    "mean, memory of 500, whole": Choice(distances=_both(n_remembered=500), whole=(0,)),
    "mean, memory, whole, not by position": Choice(
        distances=_both(), whole=(0,), by_position=False
    ),
    "memory as it is": Choice(distances=(_memory(scaling=Scaling.NONE),)),
    "memory by channel": Choice(distances=(_memory(scaling=Scaling.CHANNEL),)),
    "memory whitened": Choice(distances=(_memory(scaling=Scaling.WHITENED),)),
    "memory of all strides": Choice(distances=(_memory(levels=(0, 1, 2)),)),
    "memory of stride 8": Choice(distances=(_memory(levels=(0,)),)),
    "memory of stride 16": Choice(distances=(_memory(levels=(1,)),)),
    "memory, window of 1": Choice(distances=(_memory(window=1),)),
    "memory of 500": Choice(distances=(_memory(n_remembered=500),)),
    "memory of 8000": Choice(distances=(_memory(n_remembered=8000),)),
    "memory drawn by chance": Choice(distances=(_memory(usual=Usual.DRAWN),)),
    "memory as it is, of weight 2, and mean": Choice(distances=_both(2.0, scaling=Scaling.NONE)),
    "mean, window of 1": Choice(distances=(Distance(window=1),)),
    "mean, window of 5": Choice(distances=(Distance(window=5),)),
    "mean, stride 8 alone": Choice(distances=(Distance(levels=(0,)),)),
    "mean, stride 16 alone": Choice(distances=(Distance(levels=(1,)),)),
    "mean, stride 32 alone": Choice(distances=(Distance(levels=(2,)),)),
    "mean, strides 8 and 16": Choice(distances=(Distance(levels=(0, 1)),)),
    "mean, by channel": Choice(distances=(Distance(scaling=Scaling.CHANNEL),)),
    "mean, not by position": Choice(distances=(MEAN,), by_position=False),
    "predicted": Choice(distances=(Distance(usual=Usual.PREDICTED),)),
}
LARGE: dict[str, Choice] = {
    "memories of image and half, mean of the half, whole of both (preset fine)": _large(
        0, 1, whole=(0, 1)
    ),
    "the same, not by position": _unplaced(_large(0, 1, whole=(0, 1))),
    "the same, whole of the half": _large(0, 1),
    "the same, without the mean": _large(0, 1, mean=None),
    "the image alone": _large(0, mean=0, whole=(0,)),
    "the image alone, not by position": _unplaced(_large(0, mean=0, whole=(0,))),
    "the half alone": _large(1),
    "the half alone, not by position": _unplaced(_large(1)),
    "memory of the image, mean and whole of the half": _large(0),
    "memory of the image alone": _large(0, mean=None, whole=()),
    "memory of the half alone": _large(1, mean=None, whole=()),
}
CHOICES = {256: SMALL, 512: LARGE}  # by size of image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder that holds the parts")
    parser.add_argument("--size", type=int, choices=CHOICES, default=256, help="of images, px")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--choice", action="append", help="one of them; may be repeated; else all")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    offered = CHOICES[options.size]
    choices = {name: offered[name] for name in options.choice or offered}
    backbone = Backbone(BACKBONE, STRIDES)
    backbone.load(read_backbone_weights(None, BACKBONE).tensors)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts.split(","):
            data = options.data_root / part
            if part == "mvtec_screw":
                data = screw_held_out(data, Path(folder) / part)
            rows += _measure(part, data, backbone, options.size, choices)
    _write(rows, options.out)


def _measure(
    part: str, data: Path, backbone: Backbone, size: int, choices: Mapping[str, Choice]
) -> list[dict[str, Any]]:
    test = find_test(data)
    sets = _collect(data, test, backbone, size)
    known: Known = {}
    labels = [not picture.is_good for picture in test]
    rows = []
    for name, choice in choices.items():
        scores = score(choice, sets, known)
        found = {harm: auroc_against(scores["good"], scores[harm]) for harm in HARMS}
        by_kind = {k: float(np.mean([found[k, s] for s in SEVERITIES])) for k in KINDS}
        rows.append(
            {
                "part": part,
                "size": size,
                "choice": name,
                "validation": float(np.mean(list(found.values()))),
                **by_kind,
                "auroc": metrics.auroc(list(scores["test"]), labels),
            }
        )
        print(rows[-1], flush=True)
    return rows


def _collect(data: Path, test: list[LabelledPicture], backbone: Backbone, size: int) -> Sets:
    """By name; `good` are first those of the selection, then those that calibrate."""
    good = find_good(data)
    resize = choose_resize(survey_pictures(good).shapes)
    preprocess = PreprocessConfig(size=size, resize=resize)
    n_octaves = 1 + max(d.octave for c in CHOICES[size].values() for d in c.distances)
    split = split_good(good, HOLDOUT)
    held_out = [*split.selection, *split.calibration]
    paths = {
        "training": split.training,
        "calibration": split.calibration,
        "good": held_out,
        "test": [picture.path for picture in test],
    }
    sets: Sets = {
        name: _features((load_tiles(path, preprocess).tiles for path in own), backbone, n_octaves)
        for name, own in paths.items()
    }
    for kind, severity in HARMS:
        harmed = _harmed(held_out, preprocess, kind, severity)
        sets[kind, severity] = _features(harmed, backbone, n_octaves)
    return sets


def _harmed(
    paths: list[Path], preprocess: PreprocessConfig, kind: str, severity: float
) -> Iterable[Tiles]:
    """Tiles of each picture with a defect."""
    for i, path in enumerate(paths):
        picture, grid = read_picture(path), load_tiles(path, preprocess).grid
        rng = np.random.default_rng((0, i))
        yield cut_tiles(with_defect(picture, rng, kind, severity), grid)


@torch.no_grad()
def _features(pictures: Iterable[Tiles], backbone: Backbone, n_octaves: int) -> Pictures:
    octaves: list[list[list[torch.Tensor]]] = [[[] for _ in STRIDES] for _ in range(n_octaves)]
    owner: list[int] = []
    for number, tiles in enumerate(pictures):
        images = torch.from_numpy(np.ascontiguousarray(tiles)).permute(0, 3, 1, 2) / 255
        for octave, levels in enumerate(octaves):
            seen = F.avg_pool2d(images, 2**octave) if octave else images
            for place, level in enumerate(backbone(seen)):
                levels[place].append(level.half())
        owner += [number] * len(tiles)
    joined = [[torch.cat(own) for own in levels] for levels in octaves]
    return Pictures(octaves=joined, picture=np.array(owner))


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    file = out / "feature_choices.json"
    rows = with_others(rows, file, by=("part", "choice"))
    report = {"hardware": hardware(), "rows": rows}
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    write_atomically(file, text.encode() + b"\n")
    lines = ["# How features are compared, without a generator"]
    for size, choices in CHOICES.items():
        of_size = [row for row in rows if row["size"] == size]
        parts = [part for part in PARTS if any(row["part"] == part for row in of_size)]
        head = "| choice |" + "".join(f" {part}: validation | AUROC |" for part in parts)
        cells = [_cells(name, parts, of_size) for name in choices]
        lines += ["", f"Images of {size} px:", ""]
        lines += table(head + " mean validation |", [row for row in cells if row])
    write_atomically(out / "feature_choices.md", ("\n".join(lines) + "\n").encode())


def _cells(name: str, parts: list[str], rows: list[dict[str, Any]]) -> list[str]:
    """A row of the table; none of a choice that was not measured on every part."""
    of_part = {row["part"]: row for row in rows if row["choice"] == name}
    if not of_part.keys() >= set(parts):
        return []
    own = [of_part[part] for part in parts]
    figures = [figure(row[key]) for row in own for key in ("validation", "auroc")]
    return [name, *figures, figure(float(np.mean([row["validation"] for row in own])))]


if __name__ == "__main__":
    main()
