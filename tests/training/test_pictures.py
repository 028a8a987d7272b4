"""The images that train: which picture, which place in it, what is changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgeinspect.config import AugmentConfig, PreprocessConfig, ResizeRule
from edgeinspect.data.images import save_picture
from edgeinspect.training.pictures import GoodImages, augment

NOTHING = AugmentConfig(
    flip_horizontal=False, flip_vertical=False, rotate_deg=0, shift_px=0, brightness=0
)
SIZE = 32


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Five grey pictures, each of one value."""
    for i in range(5):
        grey = np.full((SIZE, 2 * SIZE, 3), 40 * (i + 1), np.uint8)
        save_picture(tmp_path / f"{i}.png", grey)
    return sorted(tmp_path.iterdir())


def images(paths: list[Path], *, seed: int = 0, augmentation: AugmentConfig = NOTHING):
    preprocess = PreprocessConfig(size=SIZE, resize=ResizeRule.TILE, overlap_px=8)
    return GoodImages(paths, preprocess, augmentation, seed=seed, n_images=20)


def test_every_picture_comes_once_an_epoch(paths: list[Path]):
    found = images(paths)
    greys = [round(float(found[n].mean() * 255)) for n in range(10)]
    for epoch in (greys[:5], greys[5:]):
        assert sorted(epoch) == [40, 80, 120, 160, 200]


def test_an_image_depends_on_seed_and_number_alone(paths: list[Path]):
    one, again, other = (
        images(paths, seed=seed, augmentation=AugmentConfig()) for seed in (0, 0, 1)
    )
    _ = again[3]  # what was read before does not count
    assert torch.equal(one[7], again[7])
    assert any(not torch.equal(one[n], other[n]) for n in range(5))


def test_what_changes_nothing_cuts_an_image_out():
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    image = augment(picture, SIZE, NOTHING, np.random.default_rng(1))
    places = [
        picture[y : y + SIZE, x : x + SIZE]
        for y in range(40 - SIZE + 1)
        for x in range(50 - SIZE + 1)
    ]
    assert any(np.array_equal(image, place) for place in places)


def test_brightness_changes_around_what_it_was():
    config = AugmentConfig(
        flip_horizontal=False, flip_vertical=False, rotate_deg=0, shift_px=0, brightness=0.004
    )
    picture = np.full((SIZE, SIZE, 3), 100, np.uint8)
    rng = np.random.default_rng(0)
    greys = [int(augment(picture, SIZE, config, rng)[0, 0, 0]) for _ in range(100)]
    assert set(greys) == {100}  # less than half a grey level
