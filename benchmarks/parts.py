"""The real parts that quality is measured on, and synthetic defects of their good pictures.

A folder DATA_ROOT holds the parts in MVTec's layout; they are 40 MB together and travel as they
are, nothing is fetched.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeinspect import metrics
from edgeinspect.data.layout import find_good
from edgeinspect.data.synthetic.disturbing import Disturbance, disturb_part
from edgeinspect.data.synthetic.pasting import paste_defect

PARTS = ("kolektor_sdd", "magnetic_tile", "mvtec_screw")
HELD_OUT = "mvtec_screw_heldout"
PASTED = "pasted"
KINDS = (PASTED, *(kind.value for kind in Disturbance))  # of synthetic defects


def screw_held_out(data: Path, folder: Path) -> Path:
    """The screw with every eighth training picture as its good test pictures."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "train" / "good").mkdir(parents=True)
    (folder / "test" / "good").mkdir(parents=True)
    for path in find_good(data):
        place = "test" if int(path.stem) % 8 == 0 else "train"
        (folder / place / "good" / path.name).symlink_to(path.resolve())
    for defect in sorted((data / "test").iterdir()):
        if defect.name != "good":
            (folder / "test" / defect.name).symlink_to(defect.resolve())
    (folder / "ground_truth").symlink_to((data / "ground_truth").resolve())
    return folder


def with_defect(
    picture: NDArray[np.uint8], rng: np.random.Generator, kind: str, severity: float
) -> NDArray[np.uint8]:
    """A copy of a good picture with one synthetic defect of a kind of `KINDS`."""
    if kind == PASTED:
        return paste_defect(picture, rng, severity=severity).picture
    return disturb_part(picture, rng, severity=severity, kinds=[Disturbance(kind)]).picture


def auroc_against(good: ArrayLike, harmed: ArrayLike) -> float:
    """AUROC of the scores (n,) of good pictures against those (m,) of pictures with defects."""
    scores = [np.asarray(own, dtype=np.float64) for own in (good, harmed)]
    is_defect = np.repeat([False, True], [len(own) for own in scores])
    return metrics.auroc(np.concatenate(scores), is_defect) or 0.0
