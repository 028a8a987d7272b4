"""How error maps of pixels are best scored, on the smooth fill: no training, no test split.

    python -m benchmarks.pixel_choices DATA_ROOT [--parts kolektor_sdd,magnetic_tile]

A generator of target `pixels` that has learnt nothing gives the smooth fill, and after minutes on a
CPU little more (docs/quality.md). `fit` divides the good pictures; those that do not train are
scored by constants of the other folds, as calibration scores them, and so are copies of every
second one with a synthetic defect of each kind at each severity. `validation` is the mean AUROC of
kinds and severities.

What is varied: the size of images, the blur of the maps, their normalisation, and whether the mean
of each measure counts not at all, upward, or both ways (docs/decisions/0016 and 0017). With the
mean both ways also which of the statistics count: one measure, one statistic or one mask scale
alone, where by default the largest of all does.

Results: `pixel_choices.json` and `pixel_choices.md`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.parts import KINDS, auroc_against, with_defect
from benchmarks.reports import RESULTS, figure, hardware, table, with_others
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.calibration.candidates import default_candidate
from edgeinspect.calibration.crossfit import CrossFit, FoldSums, crossfit, map_statistics
from edgeinspect.calibration.good_maps import GoodMaps, MapCache, collect_good_maps, infer_maps
from edgeinspect.calibration.normalisation import block_sides_px
from edgeinspect.cli.settings import read_settings
from edgeinspect.config import Normalisation, Rule, ScoringConfig
from edgeinspect.constants import one_hot
from edgeinspect.data.layout import find_good
from edgeinspect.data.loading import load_tiles
from edgeinspect.data.tiling import cut_tiles
from edgeinspect.fitting import fit, split_good
from edgeinspect.progress import no_progress
from edgeinspect.runtime.session import MapSession, open_maps
from edgeinspect.training.planning import Duration
from edgeinspect.writing import write_atomically

PARTS = "kolektor_sdd,magnetic_tile"
FALSE_REJECT_RATE = 0.05  # of a threshold that no AUROC reads
SEVERITIES = (0.5, 1.5, 3.0)  # pixels see little below
SIZES = (128, 256)  # px
BLURS = (1, 3, 5)
NORMALISATIONS = tuple(Normalisation)
USUAL = (Normalisation.PIXEL.value, 3)  # what `fit` takes on both parts, docs/decisions/0017
ALL = "all"  # measures, statistics and scales; the mean both ways

Floats = NDArray[np.float32]
Weights = dict[str, Floats]  # by what counts, (S,) each
Fits = dict[tuple[int, Normalisation], CrossFit]
Found = dict[tuple[int, Normalisation], Floats]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder that holds the parts")
    parser.add_argument("--parts", default=PARTS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for part, size in itertools.product(options.parts.split(","), SIZES):
        rows += _measure(part, options.data_root / part / "train" / "good", size)
    _write(rows, options.out)


def _measure(part: str, good_dir: Path, size: int) -> list[dict[str, Any]]:
    config = read_settings("tiny", (f"size={size}",), target="pixels")
    split = split_good(find_good(good_dir), config.optimiser.holdout)
    with tempfile.TemporaryDirectory() as folder, MapCache() as cache:
        path, run = Path(folder) / "part.bundle", Path(folder) / "run"
        fit(
            good_dir, path, run, config, Duration(steps=1),
            false_reject_rate=FALSE_REJECT_RATE, device="cpu",
        )  # fmt: skip
        bundle = read_bundle(path)
        with open_maps(bundle, threads=1) as session:
            good = collect_good_maps(
                session, [*split.selection, *split.calibration], bundle.config.preprocess, cache,
                on_progress=no_progress, on_skipped=_refuse,
            )  # fmt: skip
            fits = _fits(good, bundle)
            harmed = {
                (kind, severity): _harmed(session, good, fits, bundle, kind, severity)
                for kind, severity in itertools.product(KINDS, SEVERITIES)
            }
    rows = []
    for (how, fitted), (name, weight) in itertools.product(fits.items(), _weights(bundle).items()):
        found = _validate(fitted, {k: own[how] for k, own in harmed.items()}, bundle, weight)
        rows.append(
            {
                "part": part,
                "size_px": size,
                "blur_px": how[0],
                "normalisation": how[1].value,
                "counted": name,
                "validation": float(np.mean(list(found.values()))),
                **{k: float(np.mean([found[k, s] for s in SEVERITIES])) for k in KINDS},
            }
        )
        print(rows[-1], flush=True)
    return rows


def _weights(bundle: Bundle) -> Weights:
    """Of what counts: all, without the mean, and all of one measure, statistic or scale."""
    scoring, n_scales = bundle.config.scoring, bundle.config.generator.n_scales
    # The same under each normalisation.
    default = default_candidate(Rule.PEAK, Normalisation.BLOCK, scoring).weight(scoring, n_scales)
    usual = default.reshape(len(scoring.measures), n_scales, len(scoring.statistics))
    mean = scoring.mean_index
    found = {ALL: usual}
    for name, weight_of_mean in (("not the mean", 0.0), ("the mean upward", 1.0)):
        found[name] = usual.copy()
        found[name][..., mean] = weight_of_mean
    for k, measure in enumerate(scoring.measures):
        found[f"{measure.value} alone"] = _only(usual, np.s_[k])
    for s, statistic in enumerate(scoring.statistics):
        found[f"{statistic.value} alone"] = _only(usual, np.s_[..., s])
    for i, side in enumerate(block_sides_px(bundle.config.generator)):
        found[f"blocks of {side} px alone"] = _only(usual, np.s_[:, i])
    return {name: weight.ravel() for name, weight in found.items()}


def _only(weight: Floats, place: Any) -> Floats:
    """Weights (K, I, statistics) that are 0 but for those at an index."""
    kept = np.zeros_like(weight)
    kept[place] = weight[place]
    return kept


def _refuse(path: Path, what: str) -> None:
    raise AssertionError(f"{path}: {what}")


def _scoring(bundle: Bundle, blur_px: int) -> ScoringConfig:
    return replace(bundle.config.scoring, blur_px=blur_px)


def _fits(good: GoodMaps, bundle: Bundle) -> Fits:
    folds = FoldSums.of(good, n_tiles=1)
    sides = block_sides_px(bundle.config.generator)
    return {
        (blur_px, how): crossfit(
            good, folds, how, sides, _scoring(bundle, blur_px), on_progress=no_progress
        )
        for blur_px, how in itertools.product(BLURS, NORMALISATIONS)
    }


def _harmed(
    session: MapSession, good: GoodMaps, fits: Fits, bundle: Bundle, kind: str, severity: float
) -> Found:
    """Statistics (M, S) of all tiles of every second picture with a defect."""
    rows: dict[tuple[int, Normalisation], list[Floats]] = {how: [] for how in fits}
    for picture, tiles in _harmed_tiles(good, bundle, kind, severity):
        for maps in infer_maps(session, tiles):
            tile = np.zeros(len(maps), np.int32)
            for how, fitted in fits.items():
                constants = fitted.fold_constants[fitted.fold[picture]]
                scoring = _scoring(bundle, how[0])
                rows[how].append(map_statistics(maps, constants, tile, scoring))
    return {how: np.concatenate(own) for how, own in rows.items()}


def _harmed_tiles(
    good: GoodMaps, bundle: Bundle, kind: str, severity: float
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for number in range(0, len(good), 2):
        loaded = load_tiles(good.pictures[number].path, bundle.config.preprocess)
        rng = np.random.default_rng((0, number))
        harmed = with_defect(loaded.picture, rng, kind, severity)
        yield number, cut_tiles(harmed, loaded.grid)


def _validate(
    fitted: CrossFit, harmed: dict[Any, Floats], bundle: Bundle, weight: Floats
) -> dict[Any, float]:
    """AUROC of each kind and severity against all good pictures."""
    scoring, n_scales = bundle.config.scoring, bundle.config.generator.n_scales
    peak = one_hot(Rule.PEAK)
    clean = fitted.score_parts(weight, peak, scoring, n_scales).score
    picture = fitted.picture[fitted.picture % 2 == 0]
    found = {}
    for key, rows in harmed.items():
        scores = fitted.score_others(rows, picture, weight, peak, scoring, n_scales).score
        found[key] = auroc_against(clean, scores)
    return found


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    file = out / "pixel_choices.json"
    rows = with_others(rows, file)
    report = {"hardware": hardware(), "severities": SEVERITIES, "rows": rows}
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(report, indent=1).encode() + b"\n")
    lines = ["# How error maps of pixels are scored, on the smooth fill", ""]
    lines += ["Validation by normalisation of the maps and their blur:", "", *_by_maps(rows), ""]
    lines += [f"By kind of defect ({USUAL[0]}, {USUAL[1]} px):", "", *_by_kind(rows)]
    write_atomically(out / "pixel_choices.md", ("\n".join(lines) + "\n").encode())


def _by_maps(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each part, size and choice of what counts."""
    maps = [(how.value, blur_px) for how in NORMALISATIONS for blur_px in BLURS]
    found = {(_place(row), _maps(row)): row["validation"] for row in rows}
    places = list(dict.fromkeys(_place(row) for row in rows))
    head = "| part | size, px | what counts |"
    head += "".join(f" {how}, {blur_px} px |" for how, blur_px in maps)
    return table(head, [[*map(str, p), *(figure(found[p, how]) for how in maps)] for p in places])


def _by_kind(rows: list[dict[str, Any]]) -> list[str]:
    head = "| part | size, px | what counts | validation |" + "".join(f" {k} |" for k in KINDS)
    cells = [
        [*map(str, _place(row)), *(figure(row[key]) for key in ("validation", *KINDS))]
        for row in rows
        if _maps(row) == USUAL
    ]
    return table(head, cells)


def _place(row: dict[str, Any]) -> tuple[str, int, str]:
    return row["part"], row["size_px"], row["counted"]


def _maps(row: dict[str, Any]) -> tuple[str, int]:
    return row["normalisation"], row["blur_px"]


if __name__ == "__main__":
    main()
