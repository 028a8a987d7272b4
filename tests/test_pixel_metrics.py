"""Pixel AUROC equals scikit-learn's, and AUPRO a naive implementation of its definition."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeinspect.pixel_metrics import PixelTally

TOLERANCE = 1e-12  # sums of a few dozen float64 terms, in another order
PIXEL_SHAPE = (9, 11)


def naive_aupro(
    maps: list[NDArray[np.float64]], masks: list[NDArray[np.bool_]], limit: float
) -> float:
    """AUPRO by its definition: a loop over thresholds and regions, then a fine numeric integral."""
    regions = []
    for values, mask in zip(maps, masks, strict=True):
        n, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        regions += [values[labels == k] for k in range(1, n)]
    good = np.concatenate([v[~m] for v, m in zip(maps, masks, strict=True)])
    points = [(0.0, 0.0)]
    for cut in sorted({*np.concatenate([m.ravel() for m in maps])}, reverse=True):
        overlaps = [float(np.mean(region >= cut)) for region in regions]
        points.append((float(np.mean(good >= cut)), float(np.mean(overlaps))))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        end = min(x1, limit)
        if x1 > x0 and end > x0:
            y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + y_end) / 2
    return area / limit


def pixel_case(seed: int) -> tuple[list[NDArray[np.float64]], list[NDArray[np.bool_]]]:
    """Three maps with ties and negative values, and blobs as masks; the last part is good."""
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for index in range(3):
        mask = np.zeros(PIXEL_SHAPE, dtype=bool)
        if index < 2:
            mask[1:4, 2:5] = mask[6:8, 7:10] = True
        noise = rng.integers(-8, 9, PIXEL_SHAPE) / 4  # exact in the tally's 11 bits
        maps.append(noise + mask * rng.integers(0, 3) / 2)
        masks.append(mask)
    return maps, masks


def tally(maps: list[NDArray[np.float64]], masks: list[NDArray[np.bool_]]) -> PixelTally:
    parts = (PixelTally.of(v, m) for v, m in zip(maps, masks, strict=True))
    return sum(parts, start=PixelTally.empty())


@given(st.integers(0, 10_000))
def test_pixel_auroc_equals_that_of_scikit_learn(seed: int) -> None:
    maps, masks = pixel_case(seed)
    expected = reference.roc_auc_score(np.ravel(masks), np.ravel(maps))
    assert tally(maps, masks).auroc() == pytest.approx(expected, abs=TOLERANCE)


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_equals_its_definition(seed: int, limit: float) -> None:
    maps, masks = pixel_case(seed)
    expected = naive_aupro(maps, masks, limit)
    assert tally(maps, masks).aupro(limit) == pytest.approx(expected, abs=TOLERANCE)


def test_a_perfect_map_has_an_aupro_of_one_and_a_constant_one_that_of_chance() -> None:
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:4, 2:4] = True
    perfect, constant = (PixelTally.of(m, mask) for m in (mask * 5.0, mask * 0.0))
    assert perfect.aupro() == pytest.approx(1)
    assert perfect.auroc() == pytest.approx(1)
    assert constant.aupro() == pytest.approx(0.15)
    assert constant.auroc() == pytest.approx(0.5)


def test_small_and_large_regions_count_alike_in_aupro() -> None:
    mask = np.zeros((10, 20), dtype=bool)
    mask[0:8, 0:8] = mask[9, 19] = True
    found = np.zeros(mask.shape)
    found[9, 19] = 1.0  # only the one-pixel region
    got = PixelTally.of(found, mask).aupro(fpr_limit=1e-9)
    assert got == pytest.approx(0.5, abs=1e-6)


def test_continuous_maps_lose_next_to_nothing_to_the_tally() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 3, (64, 64))
    mask = rng.random((64, 64)) < 0.2
    values += mask
    expected = reference.roc_auc_score(mask.ravel(), values.ravel())
    assert PixelTally.of(values, mask).auroc() == pytest.approx(expected, abs=1e-4)


def test_minus_zero_and_zero_are_one_value() -> None:
    got = PixelTally.of(np.array([[0.0, -0.0]]), np.array([[True, False]]))
    assert got.auroc() == 0.5


def test_a_mask_of_the_whole_picture_is_one_region() -> None:
    tally = PixelTally.of(np.ones((4, 4)), np.ones((4, 4), dtype=bool))
    assert (tally.n_regions, tally.overlap.tolist()) == (1, [1.0])


def test_pixel_metrics_without_a_region_are_none() -> None:
    good = PixelTally.of(np.ones((4, 4)), np.zeros((4, 4), dtype=bool))
    assert (good.auroc(), good.aupro()) == (None, None)
    assert PixelTally.empty().auroc() is None


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.full((2, 2), np.nan)])
def test_maps_that_cannot_be_counted_are_refused(values: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match=r"map"):
        PixelTally.of(values, np.zeros((2, 2), dtype=bool))
