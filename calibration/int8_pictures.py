"""Images that INT8 ranges come from, and others that the graph is held to.

Neighbouring files stay together, so that the proof is on parts unlike those of the ranges. Good
parts alone would not show what becomes of numbers beyond their ranges: each image of the proof is
there once more with a synthetic defect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeinspect.config import PreprocessConfig
from edgeinspect.data.loading import load_tiles
from edgeinspect.data.splits import split_neighbours
from edgeinspect.data.synthetic.pasting import paste_defect
from edgeinspect.digests import file_sha256, list_sha256
from edgeinspect.errors import CalibrationError, ImageError
from edgeinspect.runtime.session import Images, Ints

__all__ = ["FEWEST_PICTURES", "Int8Images", "Int8Pictures", "load_int8_pictures"]

FEWEST_PICTURES = 8
MOST_PICTURES = 24  # of ranges, and of proof: more change nothing and take minutes
SEVERITY = 1.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Int8Images:
    """Images (n, size, size, 3) uint8 RGB at tile positions (n,), with a name each."""

    images: Images
    tile: Ints
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Int8Pictures:
    """One tile of each picture; `proof` has each twice, the second time with a defect."""

    ranges: Int8Images
    proof: Int8Images
    range_paths: tuple[Path, ...]
    proof_paths: tuple[Path, ...]

    def facts(self) -> dict[str, Any]:
        """Counts and hashes, as a manifest carries them."""
        sides = {"ranges": self.range_paths, "proof": self.proof_paths}
        return {
            side: {"n": len(paths), "sha256": list_sha256(file_sha256(p) for p in paths)}
            for side, paths in sides.items()
        }


def load_int8_pictures(
    paths: Sequence[Path], preprocess: PreprocessConfig, *, n_positions: int, seed: int
) -> Int8Pictures:
    """Read some pictures for each use, spread over the list; unreadable ones are left out.

    Args:
        n_positions: tile positions that the constants know.
        seed: of tiles and defects.
    Raises: CalibrationError if fewer than `FEWEST_PICTURES` can be used.
    """
    rng = np.random.default_rng(seed)
    sides = (_spread(side) for side in split_neighbours(paths, 0.5))
    (range_paths, ranges), (proof_paths, proof) = (
        _read(side, preprocess, n_positions, rng) for side in sides
    )
    n_found = len(range_paths) + len(proof_paths)
    if n_found < FEWEST_PICTURES or not range_paths or not proof_paths:
        raise CalibrationError(
            f"{n_found} good pictures can be used, INT8 takes {FEWEST_PICTURES} at least: half"
            " give ranges, half prove the graph",
            hint="give more good pictures",
        )
    return Int8Pictures(
        ranges=ranges,
        proof=_with_defects(proof, rng),
        range_paths=tuple(range_paths),
        proof_paths=tuple(proof_paths),
    )


def _spread(paths: Sequence[Path]) -> list[Path]:
    picks = np.linspace(0, len(paths) - 1, min(len(paths), MOST_PICTURES)).astype(int)
    return [paths[i] for i in picks]


def _read(
    paths: Sequence[Path], preprocess: PreprocessConfig, n_positions: int, rng: np.random.Generator
) -> tuple[list[Path], Int8Images]:
    """A tile of each picture, drawn; those whose tiles the constants do not know are left out."""
    kept, images, places = [], [], []
    for path in paths:
        try:
            tiles = load_tiles(path, preprocess).tiles
        except ImageError:
            continue
        if n_positions not in (1, len(tiles)):
            continue
        place = int(rng.integers(len(tiles)))
        kept.append(path)
        images.append(tiles[place])
        places.append(place if n_positions > 1 else 0)
    size = preprocess.size
    found = Int8Images(
        images=np.array(images, np.uint8).reshape(-1, size, size, 3),
        tile=np.array(places, np.int32),
        names=tuple(path.name for path in kept),
    )
    return kept, found


def _with_defects(proof: Int8Images, rng: np.random.Generator) -> Int8Images:
    pasted = [paste_defect(image, rng, severity=SEVERITY).picture for image in proof.images]
    return Int8Images(
        images=np.concatenate([proof.images, np.stack(pasted)]),
        tile=np.tile(proof.tile, 2),
        names=(*proof.names, *(f"{name} with a defect" for name in proof.names)),
    )
