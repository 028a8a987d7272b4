"""Which images a bundle is checked on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeinspect.config import PreprocessConfig, ResizeRule
from edgeinspect.data.images import save_picture
from edgeinspect.export.golden import N_PICTURES, golden_images

PREPROCESS = PreprocessConfig(size=64)


def write_pictures(folder: Path, n: int, *, width: int = 64) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(n)]
    for path in paths:
        save_picture(path, rng.integers(0, 256, (64, width, 3), dtype=np.uint8))
    return paths


def test_the_first_pictures_of_the_run_and_noise_are_used(tmp_path: Path) -> None:
    images, names = golden_images(write_pictures(tmp_path, 5), PREPROCESS)
    assert names == ["0.png", "1.png", "2.png", "noise"]
    assert images.shape == (N_PICTURES + 1, 64, 64, 3)
    assert images.dtype == np.uint8


def test_synthetic_metal_stands_in_for_pictures_that_are_gone(tmp_path: Path) -> None:
    paths = [tmp_path / "gone.png", *write_pictures(tmp_path, 1)]
    names = golden_images(paths, PREPROCESS)[1]
    assert names == ["0.png", "synthetic brushed", "synthetic rolled", "noise"]


def test_a_broken_picture_is_left_out(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    names = golden_images([broken, *write_pictures(tmp_path, 3)], PREPROCESS)[1]
    assert names[:N_PICTURES] == ["0.png", "1.png", "2.png"]


def test_a_long_picture_gives_its_middle_tile(tmp_path: Path) -> None:
    tiled = PreprocessConfig(size=64, resize=ResizeRule.TILE, overlap_px=16)
    images, _ = golden_images(write_pictures(tmp_path, 1, width=160), tiled)
    assert images.shape == (N_PICTURES + 1, 64, 64, 3)


def test_the_images_are_the_same_every_time() -> None:
    first, second = (golden_images([], PREPROCESS)[0] for _ in range(2))
    assert np.array_equal(first, second)
