"""Pasted defects: inside their masks, on the part, and as strong as they were asked to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeinspect.data.synthetic.defects import DefectKind
from edgeinspect.data.synthetic.pasting import paste_defect
from tests.data.picture_files import made_picture

kinds = st.sampled_from(list(DefectKind))
seeds = st.integers(0, 10_000)


def plate(height: int = 96, width: int = 128, spread: float = 12.0) -> NDArray[np.uint8]:
    """A grey plate with noise of `spread` grey levels."""
    noise = np.random.default_rng(1).normal(128, spread, (height, width, 1))
    return np.repeat(noise.clip(0, 255).astype(np.uint8), 3, axis=-1)


def bolt_on_paper() -> NDArray[np.uint8]:
    """A dark textured bar in the middle of bright paper lit from one side."""
    picture = np.repeat(np.linspace(190, 220, 128)[None, :, None], 128, axis=0)
    bar = np.random.default_rng(2).normal(80, 15, (40, 100, 1))
    picture[44:84, 14:114] = bar
    return np.repeat(picture.clip(0, 255).astype(np.uint8), 3, axis=-1)


@settings(max_examples=60)
@given(kinds, seeds, st.floats(0, 3), st.integers(8, 160), st.integers(8, 160))
@example(DefectKind.DENT, 0, 0.0, 8, 8)
def test_nothing_changes_outside_the_mask(
    kind: DefectKind, seed: int, severity: float, height: int, width: int
) -> None:
    good = made_picture(height, width)
    pasted = paste_defect(good, np.random.default_rng(seed), severity=severity, kinds=[kind])
    assert pasted.picture.shape == good.shape
    assert pasted.mask.any()
    assert np.array_equal(pasted.picture[~pasted.mask], good[~pasted.mask])


@pytest.mark.parametrize("kind", list(DefectKind))
def test_the_same_seed_gives_the_same_defect_and_another_seed_another(kind: DefectKind) -> None:
    first, again, other = (
        paste_defect(plate(), np.random.default_rng(seed), severity=1, kinds=[kind])
        for seed in (7, 7, 8)
    )
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.mask, other.mask)


def test_the_good_picture_itself_stays_as_it_was() -> None:
    good = plate()
    paste_defect(good, np.random.default_rng(0), severity=2)
    assert np.array_equal(good, plate())


@pytest.mark.parametrize("kind", list(DefectKind))
def test_higher_severity_changes_more(kind: DefectKind) -> None:
    def change(severity: float) -> float:
        total = 0.0
        for seed in range(6):
            pasted = paste_defect(
                plate(), np.random.default_rng(seed), severity=severity, kinds=[kind]
            )
            total += np.abs(pasted.picture.astype(float) - plate()).max()
        return total

    assert change(0.0) < 0.7 * change(0.4) < 0.7 * change(1.2)


def test_contrast_follows_the_grey_range_of_the_part() -> None:
    def change(spread: float) -> float:
        good = plate(spread=spread)
        rng = np.random.default_rng(3)
        pasted = paste_defect(good, rng, severity=0.5, kinds=[DefectKind.STAIN])
        return float(np.abs(pasted.picture.astype(float) - good).mean())

    assert change(16.0) == pytest.approx(2 * change(8.0), rel=0.15)


@pytest.mark.parametrize("kind", list(DefectKind))
def test_a_flat_picture_still_shows_a_strong_defect(kind: DefectKind) -> None:
    flat = np.full((96, 96, 3), 120, np.uint8)
    pasted = paste_defect(flat, np.random.default_rng(0), severity=1.0, kinds=[kind])
    assert np.abs(pasted.picture.astype(int) - flat).max() >= 5


@pytest.mark.parametrize("grey", [0, 255])
@pytest.mark.parametrize("kind", list(DefectKind))
def test_black_and_white_do_not_swallow_a_defect(kind: DefectKind, grey: int) -> None:
    flat = np.full((96, 96, 3), grey, np.uint8)
    pasted = paste_defect(flat, np.random.default_rng(0), severity=1.0, kinds=[kind])
    assert np.abs(pasted.picture.astype(int) - flat).max() >= 5


@given(kinds, seeds)
@settings(max_examples=30)
def test_a_grey_picture_stays_grey(kind: DefectKind, seed: int) -> None:
    pasted = paste_defect(plate(), np.random.default_rng(seed), severity=1, kinds=[kind])
    assert not np.ptp(pasted.picture.astype(int), axis=-1).any()


def test_rust_on_a_colour_picture_is_brown() -> None:
    good = plate() + np.array([0, 0, 1], np.uint8)
    pasted = paste_defect(good, np.random.default_rng(0), severity=2, kinds=[DefectKind.RUST])
    red, green, blue = (pasted.picture.astype(float) - good)[pasted.mask].mean(axis=0)
    assert red > green > blue


@given(kinds, seeds)
@settings(max_examples=40)
def test_a_defect_lies_on_the_part_and_not_on_its_background(kind: DefectKind, seed: int) -> None:
    pasted = paste_defect(bolt_on_paper(), np.random.default_rng(seed), severity=1, kinds=[kind])
    near_part = np.zeros((128, 128), bool)
    near_part[41:87, 11:117] = True  # closing over highlights may add a few px around the part
    assert not (pasted.mask & ~near_part).any()


def test_kinds_are_drawn_from_those_given() -> None:
    wanted = [DefectKind.PIT, DefectKind.DENT]
    rng = np.random.default_rng(0)
    drawn = {paste_defect(plate(), rng, severity=1, kinds=wanted).kind for _ in range(20)}
    assert drawn == set(wanted)
    assert {paste_defect(plate(), rng, severity=1).kind for _ in range(60)} == set(DefectKind)
