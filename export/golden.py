"""The images that every runtime of a bundle is held to, and PyTorch's answers to them.

Held-out and training pictures of the run where they still are, synthetic metal otherwise, and
noise, which reaches values that no good part does.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgeinspect.config import PreprocessConfig, RunConfig
from edgeinspect.constants import neutral_constants
from edgeinspect.data.loading import load_tiles
from edgeinspect.data.synthetic.surfaces import Finish, draw_surface, render_surface
from edgeinspect.errors import ImageError
from edgeinspect.export.graph import MAPS_OUTPUTS, SCORE_OUTPUTS, InspectionGraph
from edgeinspect.parity import Golden
from edgeinspect.scoring import RuleInputs

__all__ = ["N_PICTURES", "golden_images", "make_golden"]

_log = logging.getLogger(__name__)

N_PICTURES = 3  # and one of noise
SEED = 0

Images = NDArray[np.uint8]


def make_golden(
    graph: InspectionGraph, images: Images, names: Sequence[str], config: RunConfig
) -> tuple[Golden, NDArray[np.float32]]:
    """PyTorch's answers to images (B, H, W, 3) under constants that change nothing.

    Returns: the golden outputs, and the error maps (B, K, I, H, W).
    """
    constants = neutral_constants(config)
    tile = np.zeros(len(images), np.int32)
    inputs = (torch.from_numpy(images), torch.from_numpy(tile))
    with torch.inference_mode():
        outputs = graph(*inputs, *RuleInputs.from_constants(constants))
    arrays = {n: v.numpy() for n, v in zip(SCORE_OUTPUTS + MAPS_OUTPUTS, outputs, strict=True)}
    scores = {name: arrays[name] for name in SCORE_OUTPUTS}
    golden = Golden(
        images=images,
        tile=tile,
        names=tuple(names),
        n_placed=config.scoring.n_placed,
        constants=constants,
        **scores,
    )
    return golden, arrays["error_maps"]


def golden_images(paths: Sequence[Path], preprocess: PreprocessConfig) -> tuple[Images, list[str]]:
    """(B, H, W, 3) uint8 and where each comes from; the middle tile of each picture."""
    found = _pictures(paths, preprocess)
    if len(found) < N_PICTURES:
        _log.info("%d of %d pictures of the run are left", len(found), N_PICTURES)
        found += _surfaces(preprocess.size)[: N_PICTURES - len(found)]
    rng = np.random.default_rng(SEED)
    shape = (preprocess.size, preprocess.size, 3)
    found.append((rng.integers(0, 256, shape, dtype=np.uint8), "noise"))
    return np.stack([image for image, _ in found]), [name for _, name in found]


def _pictures(paths: Sequence[Path], preprocess: PreprocessConfig) -> list[tuple[Images, str]]:
    """The first pictures that can still be read; one that cannot is left out."""
    found: list[tuple[Images, str]] = []
    for path in paths:
        if len(found) == N_PICTURES:
            break
        try:
            tiles = load_tiles(path, preprocess).tiles
        except ImageError as error:
            _log.debug("left out: %s", error)
            continue
        found.append((tiles[len(tiles) // 2], path.name))
    return found


def _surfaces(size_px: int) -> list[tuple[Images, str]]:
    rng = np.random.default_rng(SEED)
    return [
        (render_surface(draw_surface(finish, rng), rng, size_px), f"synthetic {finish.value}")
        for finish in list(Finish)[:N_PICTURES]
    ]
