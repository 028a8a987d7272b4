"""Pictures that show no part."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.runtime.blank import SHARE, BlankCheck
from tests.bundles import good_picture

GOOD = np.array([[120.0, 8.0, 5.0], [100.0, 4.0, 2.0]])


def picture_of(mean: float, spread: float, shape: tuple[int, ...] = (64, 64)) -> np.ndarray:
    """Half of its pixels a spread above the mean, half below."""
    signs = np.where(np.indices(shape[:2]).sum(axis=0) % 2, 1, -1)
    grey = (mean + spread * signs).astype(np.uint8)
    return grey if len(shape) == 2 else np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3), (3, 40), (1200, 1000)])
@pytest.mark.parametrize(
    ("mean", "spread", "why"),
    [
        (120, 8, None),
        (30, 4, None),
        (20, 4, "blank: its mean grey level is 20, that of good pictures 100 or more"),
        (120, 0, "blank: its contrast is 0, that of good pictures 4 or more"),
    ],
)
def test_a_picture_far_darker_or_flatter_than_all_good_ones_is_blank(shape, mean, spread, why):
    assert BlankCheck(GOOD).why(picture_of(mean, spread, shape)) == why


def test_a_few_of_the_pixels_of_a_large_picture_say_the_same() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 30, (3000, 2000), dtype=np.uint8)
    least = picture.mean() / SHARE
    assert BlankCheck(np.array([[0.97 * least, 0, 0]])).why(picture) is None
    assert BlankCheck(np.array([[1.03 * least, 0, 0]])).why(picture) is not None


def test_without_looks_of_good_pictures_none_is_blank() -> None:
    assert BlankCheck(np.zeros((0, 3))).why(np.zeros((64, 64), np.uint8)) is None
    assert BlankCheck(GOOD).why(good_picture(0)) is None
