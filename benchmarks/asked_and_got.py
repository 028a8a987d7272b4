"""How many further good parts a threshold rejects, against what was asked for: made error maps.

    python -m benchmarks.asked_and_got [--repeats 400]

Real parts do not answer this: their good test pictures may come from another lot. So maps of good
parts are drawn, as independent of each other as `fit_threshold` takes them to be: a pattern that
all parts share, noise that is wide at some places, and parts that are noisier or lighter as a
whole. n of them calibrate, by the product's own code, with `pixel` normalisation and the rule
`peak`; N_FURTHER are then scored by the constants that a bundle would hold. Minutes of a core.

Results: `asked_and_got.json` and `.md`: for each n and rate the mean share of further parts above
the threshold with its standard error over repeats.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.reports import RESULTS, hardware, table
from edgeinspect.calibration.crossfit import FoldSums, crossfit, map_statistics
from edgeinspect.calibration.good_maps import GoodMaps, GoodPicture, MapCache
from edgeinspect.calibration.normalisation import map_constants
from edgeinspect.calibration.rules import fit_statistics, score
from edgeinspect.calibration.thresholds import fit_threshold
from edgeinspect.config import Measure, Normalisation, Rule, ScoringConfig
from edgeinspect.constants import one_hot
from edgeinspect.data.appearance import Appearance
from edgeinspect.data.tiling import TileGrid
from edgeinspect.progress import no_progress
from edgeinspect.writing import write_atomically

Floats = NDArray[np.float32]

CASES = ((20, 0.05), (40, 0.05), (100, 0.05), (100, 0.01), (300, 0.05), (300, 0.01))
N_FURTHER = 1000
SIZE, BLOCK = 16, 8  # px; one mask scale
SCORING = ScoringConfig(measures=(Measure.FEATURES,))
NO_APPEARANCE = Appearance(mean=0, spread=0, gradient=0)
GRID = TileGrid(picture_hw=(SIZE, SIZE), resized_hw=(SIZE, SIZE), size=SIZE, tops=(0,), lefts=(0,))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MadePart:
    """A part by its error maps: the usual error of each pixel, and how wide it varies."""

    usual: Floats
    width: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator) -> MadePart:
        return cls(usual=np.exp(_smooth(rng, 1, 2)[0]), width=np.exp(0.3 * _smooth(rng, 1, 2)[0]))

    def maps(self, rng: np.random.Generator, n: int) -> Floats:
        """(n, 1, 1, SIZE, SIZE), of n good parts."""
        of_part = rng.standard_normal((2, n, 1, 1))
        noise = 0.35 * np.exp(0.25 * of_part[0]) * self.width * _smooth(rng, n, 1)
        maps: Floats = (self.usual * np.exp(noise + 0.1 * of_part[1])).astype(np.float32)
        return maps[:, None, None]


def _smooth(rng: np.random.Generator, n: int, sigma: float) -> Floats:
    """Noise (n, SIZE, SIZE) of spread 1, with neighbours alike."""
    noise = rng.standard_normal((n, SIZE, SIZE)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), sigma) for one in noise])
    return np.asarray(smooth / smooth.std(), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = [measure(n, rate, options.repeats) for n, rate in CASES]
    report = {"hardware": hardware(), "repeats": options.repeats, "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(
        options.out / "asked_and_got.json", json.dumps(report, indent=1).encode() + b"\n"
    )
    write_atomically(options.out / "asked_and_got.md", _markdown(rows).encode())


def measure(n: int, rate: float, repeats: int) -> dict[str, Any]:
    """The mean share of further good parts that is rejected, over made parts."""
    got = np.array([_got(n, rate, np.random.default_rng((n, k))) for k in range(repeats)])
    row = {
        "n_good": n,
        "asked": rate,
        "got": float(got.mean()),
        "standard_error": float(got.std() / np.sqrt(repeats)),
    }
    print(row, flush=True)
    return row


def _got(n: int, rate: float, rng: np.random.Generator) -> float:
    """The share of further good parts above the threshold of n."""
    part = MadePart.draw(rng)
    weight, rule = np.ones(SCORING.n_statistics(1), np.float32), one_hot(Rule.PEAK)
    with MapCache() as cache:
        good = _good_maps(part.maps(rng, n), cache)
        folds = FoldSums.of(good, n_tiles=1)
        fit = crossfit(good, folds, Normalisation.PIXEL, (BLOCK,), SCORING, on_progress=no_progress)
    scores = fit.score_parts(weight, rule, SCORING, 1).score
    threshold = fit_threshold(scores, rate, np.random.default_rng(0)).value
    constants = map_constants(folds.without(), Normalisation.PIXEL, (BLOCK,))
    places = np.zeros(N_FURTHER, np.int32)
    further = map_statistics(part.maps(rng, N_FURTHER), constants, places, SCORING)
    found = score(further, fit_statistics(fit.statistics, weight, rule), SCORING, 1).score
    return float((found > threshold).mean())


def _good_maps(maps: Floats, cache: MapCache) -> GoodMaps:
    cache.append(maps)
    pictures = [
        GoodPicture(path=Path(f"{i}.png"), grid=GRID, first=i, appearance=NO_APPEARANCE)
        for i in range(len(maps))
    ]
    return GoodMaps(pictures=tuple(pictures), cache=cache)


def _markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["# False rejects asked for, and got", "", "Made error maps of good parts:", ""]
    lines += table(
        "| good parts | asked | got of further parts |",
        [
            [
                str(row["n_good"]),
                f"{row['asked']:.0%}",
                f"{row['got']:.2%} +- {row['standard_error']:.2%}",
            ]
            for row in rows
        ],
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
