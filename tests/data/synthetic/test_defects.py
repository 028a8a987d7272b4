"""Layers: every kind drawn whole on its canvas, and shaped as its name says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeinspect.data.synthetic.defects import DefectKind, draw_defect

EXTENTS = st.floats(0, 1)


@given(st.sampled_from(list(DefectKind)), st.integers(0, 10_000), EXTENTS, st.integers(32, 400))
@settings(max_examples=80)
def test_a_layer_is_finite_bounded_and_zero_outside_its_mask(
    kind: DefectKind, seed: int, extent: float, unit_px: int
) -> None:
    layer = draw_defect(kind, np.random.default_rng(seed), unit_px=unit_px, extent=extent)
    assert layer.mask.any()
    assert np.isfinite(layer.shade).all()
    assert np.abs(layer.shade[layer.mask]).max() <= 2
    assert layer.colour is not None or not layer.shade[~layer.mask].any()


@given(st.sampled_from(list(DefectKind)), st.integers(0, 10_000), EXTENTS)
@settings(max_examples=60)
def test_no_defect_is_cut_by_the_edge_of_its_canvas(
    kind: DefectKind, seed: int, extent: float
) -> None:
    mask = draw_defect(kind, np.random.default_rng(seed), unit_px=128, extent=extent).mask
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()


@pytest.mark.parametrize("kind", list(DefectKind))
def test_a_larger_extent_covers_more(kind: DefectKind) -> None:
    def area(extent: float) -> int:
        rngs = (np.random.default_rng(seed) for seed in range(8))
        return sum(int(draw_defect(kind, r, unit_px=256, extent=extent).mask.sum()) for r in rngs)

    assert area(0.0) < 0.6 * area(1.0)


@pytest.mark.parametrize("kind", [DefectKind.SCRATCH, DefectKind.CRACK])
def test_lines_are_thin(kind: DefectKind) -> None:
    mask = draw_defect(kind, np.random.default_rng(1), unit_px=256, extent=0.7).mask
    ys, xs = np.nonzero(mask)
    reach = np.hypot(np.ptp(ys), np.ptp(xs))
    assert mask.sum() < 12 * reach
    assert reach > 50


def test_a_crack_is_dark_and_a_pit_has_a_lit_rim() -> None:
    rng = np.random.default_rng(0)
    crack = draw_defect(DefectKind.CRACK, rng, unit_px=256, extent=0.5)
    pit = draw_defect(DefectKind.PIT, rng, unit_px=256, extent=0.8)
    assert crack.shade.max() <= 0
    assert crack.shade.min() < -0.9
    assert pit.shade.min() < -0.7
    assert pit.shade.max() > 0.4


def test_a_dent_is_smooth_and_as_bright_as_it_is_dark() -> None:
    dent = draw_defect(DefectKind.DENT, np.random.default_rng(0), unit_px=256, extent=0.8)
    inside = dent.mask[1:] & dent.mask[:-1]
    assert np.abs(np.diff(dent.shade, axis=0))[inside].max() < 0.12
    assert dent.shade.max() > 0.3
    assert dent.shade.min() < -0.3
