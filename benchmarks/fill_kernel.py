"""How well kinds of smooth fill match good pictures, by size of block (docs/decisions/0002).

    python -m benchmarks.fill_kernel DATA_ROOT

Mean absolute error (grey levels, 0 to 1) between the middle square of 12 good pictures of each
part, 256 px, and their fill: normalised box filters of the visible pixels, the product's fill, the
same without averaging large blocks down, and with other fades (shares of a block's side).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.parts import PARTS
from edgeinspect.config import PreprocessConfig, ResizeRule
from edgeinspect.data.layout import find_good
from edgeinspect.data.loading import load_tiles
from edgeinspect.model.fill import SmoothFill
from edgeinspect.model.masks import token_masks
from edgeinspect.training.pictures import as_tensor

SIZE, PATCH, BLOCKS, N_PICTURES = 256, 16, (1, 2, 4), 12
FADES = (20, 16, 12, 8, 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "fill_kernel.json"
    )
    options = parser.parse_args()
    rows = []
    for part in PARTS:
        images = _images(options.data_root / part)
        for block in BLOCKS:
            side = block * PATCH
            rows.append(
                {
                    "part": part,
                    "block_px": side,
                    "box": _box_error(images, side, side),
                    "four_neighbours": _error(images, SmoothFill(
                        size=SIZE, patch=PATCH, mask_scales=(block,))),
                    "four_neighbours_full_size": _error(images, SmoothFill(
                        size=SIZE, patch=side, mask_scales=(1,))),
                    "fades": {f"1/{n}": _error(images, SmoothFill(
                        size=SIZE, patch=PATCH, mask_scales=(block,), fade_share=1 / n))
                        for n in FADES},
                }
            )  # fmt: skip
            print(json.dumps(rows[-1]))
    options.out.write_text(json.dumps(rows, indent=1) + "\n")


def _images(part: Path) -> Tensor:
    paths = find_good(part)
    how = PreprocessConfig(size=SIZE, resize=ResizeRule.TILE)
    tiles = [load_tiles(p, how).tiles for p in paths[:: max(1, len(paths) // N_PICTURES)]]
    return as_tensor(np.stack([t[len(t) // 2] for t in tiles[:N_PICTURES]]))


def _error(images: Tensor, fill: SmoothFill) -> float:
    return float((fill(images)[:, 0] - images).abs().mean())


def _box_error(images: Tensor, side: int, reach: int) -> float:
    """Normalised box filter of the visible pixels within `reach` px, both complements."""
    place = torch.arange(SIZE)
    box = ((place[:, None] - place[None, :]).abs() <= reach).float()
    removed = token_masks(SIZE // side, (1,))[0].reshape(2, SIZE // side, SIZE // side).float()
    fused = torch.zeros_like(images)
    for mask in removed.repeat_interleave(side, 1).repeat_interleave(side, 2):
        visible = 1 - mask
        fused += mask * (box @ (images * visible) @ box) / (box @ visible @ box)
    return float((fused - images).abs().mean())


if __name__ == "__main__":
    main()
