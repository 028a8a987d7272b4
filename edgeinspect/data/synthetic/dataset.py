"""Whole data sets in MVTec layout: synthetic parts, or real good parts with pasted defects.

The last step of the synthetic side: surfaces and defects become files that `train`, `evaluate`
and the demo read like any others. Picture i depends on the seed and i alone, so a larger data set
begins with the smaller one. `synth.json` marks a folder as ours and says how each defect was made.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.images import guess_white_level, read_picture, save_picture
from edgeinspect.data.layout import GOOD, find_good
from edgeinspect.data.synthetic.defects import DefectKind
from edgeinspect.data.synthetic.pasting import Pasted, paste_defect
from edgeinspect.data.synthetic.surfaces import Finish, Surface, draw_surface, render_surface
from edgeinspect.errors import ConfigError, DataError, ImageError, OutputError
from edgeinspect.writing import draft_folder, output_errors, refuse_foreign, write_atomically

__all__ = ["MARKER", "SyntheticSet", "look_of", "make_data_set", "paste_data_set"]

_log = logging.getLogger(__name__)

MARKER = "synth.json"
KINDS = tuple(DefectKind)
FINISHES = tuple(Finish)
SIZES_PX = (32, 8192)
FAINT, STRONG, STRONGEST = 0.1, 1.3, 10.0  # severities: spread between the first two, at most
GOLDEN = 0.618034  # steps of this share cover a range evenly however many are taken
# What a random stream is for; each (seed, purpose, index) has its own.
LOOK, TRAIN, TEST, DEFECT = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSet:
    """What was written: counts by folder, and pictures that could not be read."""

    folder: Path
    n_train: int
    n_test_good: int
    n_defects: tuple[tuple[DefectKind, int], ...]
    skipped: tuple[ImageError, ...] = ()


def make_data_set(
    out: Path,
    *,
    finish: Finish | None = None,
    n_good: int = 60,
    n_test: int = 48,
    size_px: int = 256,
    severity: float | None = None,
    seed: int = 0,
    force: bool = False,
) -> SyntheticSet:
    """Write synthetic parts: `n_good` for training, `n_test` for testing, half with a defect.

    Args:
        finish: None takes all four in turn.
        severity: of every defect; None spreads them from hard to easy.
        force: replace a data set that this function wrote before.
    Raises: ConfigError for numbers that cannot be; OutputError if `out` cannot be written.
    """
    _check("n_good", n_good, 1, 100_000)
    _check("n_test", n_test, 0, 100_000)
    _check("size", size_px, *SIZES_PX)
    _check_pasting(severity, seed)
    finishes = FINISHES if finish is None else (finish,)
    looks = [look_of(finish, seed) for finish in finishes]

    def part(purpose: int, index: int) -> NDArray[np.uint8]:
        look: Surface = looks[index % len(looks)]
        return render_surface(look, _stream(seed, purpose, index), size_px)

    n_defective = (n_test + 1) // 2
    with _new_folder(out, force=force) as draft:
        for i in range(n_good):
            _save(draft / "train" / GOOD / f"{i:04d}.png", part(TRAIN, i))
        for i in range(n_test - n_defective):
            _save(draft / "test" / GOOD / f"{i:04d}.png", part(TEST, i))
        writer = _DefectWriter(draft, seed, severity)
        for i in range(n_defective):
            # Good and defective parts are different ones, as on a line.
            writer.add(part(TEST, n_test + i), i, f"{i:04d}")
        settings = {"surface": [f.value for f in finishes], "size_px": size_px, "seed": seed}
        writer.finish(settings)
    return SyntheticSet(
        folder=out,
        n_train=n_good,
        n_test_good=n_test - n_defective,
        n_defects=writer.counts,
    )


def look_of(finish: Finish, seed: int) -> Surface:
    """What all parts of one finish share in the data sets of this seed."""
    return draw_surface(finish, _stream(seed, LOOK, FINISHES.index(finish)))


def paste_data_set(
    out: Path,
    good_folder: Path,
    *,
    severity: float | None = None,
    seed: int = 0,
    force: bool = False,
) -> SyntheticSet:
    """Write real good pictures as test/good and, with one defect each, as test/DEFECT.

    Both are saved as PNG, so that nothing but the defect tells them apart. Pictures that cannot
    be read are logged, counted and left out.
    Raises: DataError if no good picture can be read; ConfigError; OutputError, as above.
    """
    _check_pasting(severity, seed)
    if out.resolve() in (good_folder.resolve(), *good_folder.resolve().parents):
        raise OutputError(f"{out} holds the good pictures", hint="choose another place")
    paths = find_good(good_folder)
    white = guess_white_level(paths)
    skipped: list[ImageError] = []
    stems: list[str] = []
    with _new_folder(out, force=force) as draft:
        writer = _DefectWriter(draft, seed, severity)
        for path in paths:
            try:
                picture = read_picture(path, white_level_16bit=white)
            except ImageError as error:
                _log.warning("skipped: %s", error.what)
                skipped.append(error)
                continue
            stem = path.stem
            while stem in stems:
                stem = f"{stem}-{len(stems)}"
            _save(draft / "test" / GOOD / f"{stem}.png", picture)
            writer.add(picture, len(stems), stem)
            stems.append(stem)
        if not stems:
            raise DataError(f"none of {len(skipped)} pictures of {good_folder} could be read")
        writer.finish({"onto": str(good_folder), "seed": seed})
    return SyntheticSet(
        folder=out,
        n_train=0,
        n_test_good=len(stems),
        n_defects=writer.counts,
        skipped=tuple(skipped),
    )


class _DefectWriter:
    """Pastes defect after defect into a data set and keeps the record that `synth.json` holds."""

    def __init__(self, folder: Path, seed: int, severity: float | None) -> None:
        self._folder = folder
        self._seed = seed
        self._severity = severity
        self._records: list[dict[str, object]] = []
        self._counts: Counter[DefectKind] = Counter()

    @property
    def counts(self) -> tuple[tuple[DefectKind, int], ...]:
        return tuple((kind, self._counts[kind]) for kind in KINDS if self._counts[kind])

    def add(self, picture: NDArray[np.uint8], index: int, stem: str) -> None:
        """Write the index-th defective picture and its mask."""
        # The shift every 12 pictures brings each kind onto each of the four finishes.
        kind = KINDS[(index + index // 12) % len(KINDS)]
        severity = self._severity
        if severity is None:
            severity = FAINT + (STRONG - FAINT) * (index * GOLDEN % 1)
        rng = _stream(self._seed, DEFECT, index)
        pasted = paste_defect(picture, rng, severity=severity, kinds=[kind])
        file = f"test/{kind.value}/{stem}.png"
        _save(self._folder / file, pasted.picture)
        mask = pasted.mask.astype(np.uint8) * 255
        _save(self._folder / "ground_truth" / kind.value / f"{stem}_mask.png", mask)
        self._record(file, severity, pasted)

    def _record(self, file: str, severity: float, pasted: Pasted) -> None:
        self._counts[pasted.kind] += 1
        area_px = int(pasted.mask.sum())
        self._records.append({"file": file, "severity": round(severity, 3), "area_px": area_px})

    def finish(self, settings: dict[str, object]) -> None:
        """Write the record, beside what the data set was made from."""
        record = {"made_by": "edgeinspect synth", **settings, "defects": self._records}
        write_atomically(self._folder / MARKER, json.dumps(record, indent=1).encode())


@contextlib.contextmanager
def _new_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """A draft beside `out` that takes its place when the block ends, and is removed if it fails."""
    foreign = "holds something else than a synthetic data set"
    refuse_foreign(out, marker=MARKER, foreign=foreign, force=force)
    with draft_folder(out) as draft:
        yield draft


def _save(path: Path, picture: NDArray[np.uint8]) -> None:
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    save_picture(path, picture)


def _stream(seed: int, purpose: int, index: int) -> np.random.Generator:
    return np.random.default_rng((seed, purpose, index))


def _check_pasting(severity: float | None, seed: int) -> None:
    if severity is not None:
        _check("severity", severity, 0, STRONGEST)
    _check("seed", seed, 0, 2**63)


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{name} is {value}: it must be {least} to {most}")
