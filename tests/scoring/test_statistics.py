"""Statistics of maps, against sorting and the NumPy half."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.calibration.statistics import statistics as numpy_statistics
from edgeinspect.config import Measure, ScoringConfig, Statistic
from edgeinspect.scoring.statistics import map_statistics

# Means of up to a thousand float32 numbers of size 1, summed in another order.
TOLERANCE = 1e-5


def make_maps(seed: int, size: int = 16) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, 1, (2, 2, 3, size, size))).float()


def by_sorting(pixels: np.ndarray, statistic: Statistic) -> float:
    ordered = np.sort(pixels.ravel())[::-1].astype(np.float64)
    counts = {
        Statistic.MEAN: ordered.size,
        Statistic.MAX: 1,
        Statistic.TOP_1_PERCENT: max(1, round(0.01 * ordered.size)),
        Statistic.TOP_01_PERCENT: max(1, round(0.001 * ordered.size)),
    }
    return float(ordered[: counts[statistic]].mean())


@given(
    seed=st.integers(0, 2**32 - 1),
    names=st.permutations(list(Statistic)).flatmap(
        lambda names: st.integers(1, 4).map(lambda n: names[:n])
    ),
)
def test_statistics_are_those_of_the_sorted_pixels(seed: int, names: list[Statistic]) -> None:
    maps = make_maps(seed)
    found = map_statistics(maps, names).reshape(2, 2, 3, len(names))
    for b, k, i, n in np.ndindex(found.shape):
        expected = by_sorting(maps[b, k, i].numpy(), names[n])
        assert found[b, k, i, n] == pytest.approx(expected, abs=TOLERANCE)


def test_statistics_agree_with_those_of_calibration() -> None:
    maps = make_maps(3, size=32)
    config = ScoringConfig(measures=(Measure.L1, Measure.SSIM))
    found = map_statistics(maps, config.statistics).numpy()
    assert found == pytest.approx(numpy_statistics(maps.numpy(), config), abs=TOLERANCE)


def test_statistics_are_ordered_by_measure_then_scale_then_statistic() -> None:
    maps = torch.zeros(1, 2, 3, 4, 4)
    maps[0, 1, 2] = 5.0
    found = map_statistics(maps, [Statistic.MEAN, Statistic.MAX])
    assert found.tolist() == [[0.0] * 10 + [5.0, 5.0]]
