"""What a bundle says of pictures that are not those of its part: dark, blurred, noisy, of another.

    python -m benchmarks.unlike_pictures DATA_ROOT BUNDLE PART [BUNDLE PART ...] [--out FOLDER]

For the limits by which `calibrate` (measure `whole`), `run` (the first pictures) and the verdict
(blank pictures) tell such pictures from parts: verdicts and scores; the distance of the image as a
whole, 1 where it is usual; how many times beyond those of the good pictures that calibrated
brightness, contrast or gradient lie, whichever is furthest (1: within); and that of three in a row,
on one side by one of them, where it is furthest. All test pictures of the part stand beside them.
Results: `unlike_pictures.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.parts import PARTS
from benchmarks.reports import RESULTS, hardware, table
from edgeinspect.bundle import read_bundle
from edgeinspect.config import Measure
from edgeinspect.data.appearance import Appearance
from edgeinspect.data.images import read_picture
from edgeinspect.data.layout import find_good, find_test
from edgeinspect.runtime.inspector import Inspector, open_inspector
from edgeinspect.runtime.session import MapSession, open_maps
from edgeinspect.stream.drift import N_FIRST
from edgeinspect.writing import write_atomically

N_PICTURES = 12  # of each kind that is made, and of each other part
Picture = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder that holds the parts")
    parser.add_argument("bundles", nargs="+", help="bundle and part, in turn")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for bundle, part in zip(options.bundles[::2], options.bundles[1::2], strict=True):
        rows += _rows(Path(bundle), part, options.data_root)
    report = {"hardware": hardware(), "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / "unlike_pictures.json", json.dumps(report, indent=1).encode())
    lines = ["# Pictures that are not of the part", "", *table(HEAD, [_cells(r) for r in rows]), ""]
    write_atomically(options.out / "unlike_pictures.md", "\n".join(lines).encode())


def _rows(path: Path, part: str, data_root: Path) -> list[dict[str, Any]]:
    bundle = read_bundle(path)
    with open_inspector(path, threads=1) as inspector, open_maps(bundle, threads=1) as maps:
        sets = _sets(part, data_root)
        return [
            {
                "part": part,
                "target": bundle.config.generator.target.value,
                "threshold": inspector.threshold,
                "pictures": name,
                **_judged(inspector, maps, pictures),
            }
            for name, pictures in sets.items()
        ]


def _sets(part: str, data_root: Path) -> dict[str, list[Picture]]:
    tested = find_test(data_root / part)
    good = [picture.path for picture in tested if picture.is_good]
    some = _read(_spread(good))
    made = {name: [change(one) for one in some] for name, change in _changes().items()}
    others = {
        f"{other}, good": _read(_spread(find_good(data_root / other)))
        for other in PARTS
        if other != part
    }
    defects = [picture.path for picture in tested if not picture.is_good]
    return {"good": _read(good), "defects": _read(defects), **made, **others}


def _spread(paths: list[Path]) -> list[Path]:
    return paths[:: max(1, len(paths) // N_PICTURES)][:N_PICTURES]


def _read(paths: Iterable[Path]) -> list[Picture]:
    return [read_picture(path) for path in paths]


def _changes() -> dict[str, Callable[[Picture], Picture]]:
    rng = np.random.default_rng(0)

    def light(factor: float) -> Callable[[Picture], Picture]:
        return lambda picture: np.clip(picture * factor, 0, 255).astype(np.uint8)

    def flat(level: int) -> Callable[[Picture], Picture]:
        return lambda picture: np.full_like(picture, level)

    def noisy(picture: Picture) -> Picture:
        noise = rng.normal(0, 5, picture.shape[:2])[..., None]
        return np.clip(picture + noise, 0, 255).astype(np.uint8)

    return {
        "half the light": light(0.5),
        "a sixteenth of the light": light(1 / 16),
        "twice the light": light(2),
        "blurred, sigma 2 px": lambda picture: cv2.GaussianBlur(picture, (0, 0), 2),
        "noise, sigma 5": noisy,
        "inverted": lambda picture: 255 - picture,
        "black": flat(0),
        "mid-grey": flat(128),
        "white": flat(255),
    }


def _judged(inspector: Inspector, maps: MapSession, pictures: list[Picture]) -> dict[str, Any]:
    found = [inspector(picture) for picture in pictures]
    scores = [one.score for one in found if one.score is not None]
    beyond = np.array([_beyond(inspector, picture) for picture in pictures])
    in_a_row = np.lib.stride_tricks.sliding_window_view(beyond, N_FIRST, axis=0).min(axis=-1)
    return {
        "n": len(pictures),
        "verdicts": Counter(one.verdict.value if one.reason is None else one.reason.value
                            for one in found),
        "score": _range(scores),
        "whole": _range(_wholes(inspector, maps, pictures)),
        "beyond": _range(beyond.max(axis=1).tolist()),
        "beyond_in_a_row": float(in_a_row.max()),
    }  # fmt: skip


def _wholes(inspector: Inspector, maps: MapSession, pictures: list[Picture]) -> list[float]:
    """The distance of each image as a whole; none where the bundle does not measure it."""
    measures = inspector.bundle.config.scoring.measures
    if Measure.WHOLE not in measures:
        return []
    k = measures.index(Measure.WHOLE)
    return [
        float(maps.error_maps(tile[None])[0, k, 0, 0, 0])
        for picture in pictures
        for tile in inspector.prepare(picture).tiles
    ]


def _beyond(inspector: Inspector, picture: Picture) -> NDArray[np.float64]:
    """How many times below and above those of good pictures each trait lies, (6,), 1 to 999."""
    good = inspector.bundle.require_calibration().good_appearance
    look = np.maximum(Appearance.of(picture).as_row(), 1e-6)
    below, above = good.min(axis=0) / look, look / good.max(axis=0)
    return np.asarray(np.clip(np.concatenate([below, above]), 1, 999))


def _range(values: list[float]) -> list[float] | None:
    """Smallest, median, largest."""
    return [float(np.quantile(values, q)) for q in (0, 0.5, 1)] if values else None


HEAD = (
    "| part | target | pictures | n | verdicts | score (threshold) | whole | times beyond"
    " | in a row |"
)


def _cells(row: dict[str, Any]) -> list[str]:
    def told(values: list[float] | None) -> str:
        return "" if values is None else f"{values[0]:.3g} to {values[2]:.3g}"

    return [
        row["part"],
        row["target"],
        row["pictures"],
        str(row["n"]),
        ", ".join(f"{name} {n}" for name, n in sorted(row["verdicts"].items())),
        f"{told(row['score'])} ({row['threshold']:.3g})",
        told(row["whole"]),
        told(row["beyond"]),
        f"{row['beyond_in_a_row']:.3g}",
    ]


if __name__ == "__main__":
    main()
