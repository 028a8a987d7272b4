"""What the choices say of themselves."""

from __future__ import annotations

import pytest

from edgeinspect.config import Statistic


@pytest.mark.parametrize(
    ("statistic", "size", "expected"),
    [
        (Statistic.MEAN, 256, 0),
        (Statistic.MAX, 256, 1),
        (Statistic.TOP_1_PERCENT, 256, 655),
        (Statistic.TOP_01_PERCENT, 256, 66),
        (Statistic.TOP_01_PERCENT, 8, 1),
        (Statistic.TOP_1_PERCENT, 1024, 3839),
    ],
)
def test_top_k_counts_pixels(statistic: Statistic, size: int, expected: int) -> None:
    assert statistic.top_k(size * size) == expected
