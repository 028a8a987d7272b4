"""Made parts have the defects that their masks show, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drawn_parts import DEFECTS, LOCAL, PARTS, defects_of, draw_defective, draw_good

CASES = [(part, defect) for part in PARTS for defect in defects_of(part)]


@pytest.mark.parametrize(("part", "defect"), CASES)
def test_a_defect_changes_the_part_where_its_mask_is(part: str, defect: str) -> None:
    good = draw_good(part, np.random.default_rng(3))
    harmed = draw_defective(part, defect, np.random.default_rng(3))
    change = np.abs(harmed.grey - good.grey)
    assert harmed.mask.any()
    assert change[harmed.mask].mean() > 1
    if defect in LOCAL:
        assert harmed.mask.mean() < 0.1
        assert change[~harmed.mask].mean() < 0.1 * change[harmed.mask].mean()


@pytest.mark.parametrize("part", PARTS)
def test_no_two_good_parts_are_alike(part: str) -> None:
    first, second = (draw_good(part, np.random.default_rng(seed)).grey for seed in (0, 1))
    assert np.abs(first - second).mean() > 2


def test_every_defect_is_one_of_some_part() -> None:
    assert {defect for _, defect in CASES} == set(DEFECTS)
