"""The numbers by which sets of pictures are compared."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.data.appearance import Appearance, Trait


def test_stripes_have_the_mean_spread_and_gradient_of_stripes() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[::2] = 100  # every vertical step is 100, every horizontal one 0; as many of each
    got = Appearance.of(picture)
    assert (got.mean, got.spread) == pytest.approx((50, 50))
    assert got.gradient == pytest.approx(50)


def test_a_picture_of_one_pixel_has_no_gradient() -> None:
    assert Appearance.of(np.full((1, 1, 3), 7, np.uint8)).gradient == 0


def test_each_trait_is_the_number_of_its_name() -> None:
    one = Appearance(mean=1, spread=2, gradient=3)
    assert [trait.of([one, one]).tolist() for trait in Trait] == [[1, 1], [2, 2], [3, 3]]
