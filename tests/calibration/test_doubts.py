"""What is doubtful about good pictures."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.calibration.doubts import UNLIKE, find_doubts
from edgeinspect.calibration.good_maps import MapCache
from edgeinspect.config import Measure
from tests.calibration.made_maps import good_maps, random_maps

N = 20


@pytest.mark.parametrize(
    ("far", "measures", "is_told"),
    [
        (0.9 * UNLIKE, (Measure.FEATURES, Measure.WHOLE), False),
        (1.1 * UNLIKE, (Measure.FEATURES, Measure.WHOLE), True),
        (1.1 * UNLIKE, (Measure.L1, Measure.MSGMS), False),
    ],
)
def test_pictures_unlike_those_that_trained_are_told(
    far: float, measures: tuple[Measure, ...], is_told: bool
) -> None:
    maps = random_maps(0, N, n_tiles=2)
    maps[:, :, 1] = far
    maps[0, :, 1] = 100  # one picture alone is told by its score
    with MapCache() as cache:
        good = good_maps(maps, cache)
        told = list(find_doubts(good, [], np.arange(N, dtype=float), measures, {}))
    assert ["is it the same part, lens" in words for words in told] == [True] * is_told
