"""Disturbed structure: inside its mask, on the part, and more of it with more severity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeinspect.data.synthetic.disturbing import Disturbance, disturb_part, harm_part
from tests.data.picture_files import made_picture

each_kind = pytest.mark.parametrize("kind", list(Disturbance))
each_local_kind = pytest.mark.parametrize("kind", [k for k in Disturbance if k is not k.DULL])


def textured(height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """A plate with structure of every size, alike in the three colours."""
    y, x = np.indices((height, width))
    waves = 128 + 40 * np.sin(x / 5) * np.sin(y / 7) + 20 * np.sin(x / 2)
    return np.repeat(waves.astype(np.uint8)[..., None], 3, axis=-1)


def disturbed(kind: Disturbance, seed: int, severity: float) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return disturb_part(textured(), rng, severity=severity, kinds=[kind]).picture


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(Disturbance)), st.integers(0, 9999), st.floats(0, 3))
def test_nothing_changes_outside_the_mask(kind: Disturbance, seed: int, severity: float) -> None:
    good = made_picture(60, 90)
    found = disturb_part(good, np.random.default_rng(seed), severity=severity, kinds=[kind])
    assert found.picture.shape == good.shape
    assert found.kind is kind
    assert np.array_equal(found.picture[~found.mask], good[~found.mask])


@each_local_kind
def test_higher_severity_changes_a_larger_place(kind: Disturbance) -> None:
    def area(severity: float) -> int:
        pictures = (disturbed(kind, seed, severity) for seed in range(8))
        return sum(int((picture != textured()).any(axis=-1).sum()) for picture in pictures)

    assert 0 < area(0.3) < area(1.0) < area(2.5)


@each_local_kind
def test_most_of_the_part_stays_as_it_was(kind: Disturbance) -> None:
    assert (disturbed(kind, 1, 1.0) != textured()).any(axis=-1).mean() < 0.25


@each_kind
def test_a_picture_of_a_line_camera_is_disturbed_whatever_its_length(kind: Disturbance) -> None:
    long = np.tile(textured(64, 8), (1, 4200, 1))  # 33600 px
    assert disturb_part(long, np.random.default_rng(0), severity=1.0, kinds=[kind]).mask.any()


@each_kind
def test_a_grey_picture_stays_grey(kind: Disturbance) -> None:
    assert not np.ptp(disturbed(kind, 2, 1.0), axis=-1).any()


@each_kind
def test_the_same_seed_gives_the_same_and_another_seed_another(kind: Disturbance) -> None:
    assert np.array_equal(disturbed(kind, 3, 1.0), disturbed(kind, 3, 1.0))
    assert not np.array_equal(disturbed(kind, 3, 1.0), disturbed(kind, 4, 1.0))


def test_a_worn_place_is_smoother_than_before() -> None:
    noise = np.random.default_rng(0).integers(60, 200, (96, 128, 1))
    good = np.repeat(noise, 3, axis=-1).astype(np.uint8)
    worn = disturb_part(
        good, np.random.default_rng(5), severity=2.0, kinds=[Disturbance.WORN]
    ).picture
    inside = (worn != good).any(axis=-1)
    assert worn[inside].std() < 0.8 * good[inside].std()


def test_a_dull_part_is_darker_and_flatter_the_more_the_severer() -> None:
    pictures = [disturbed(Disturbance.DULL, 6, severity) for severity in (0.0, 0.5, 1.0, 2.0)]
    assert np.array_equal(pictures[0], textured())
    assert (np.diff([picture.mean() for picture in pictures]) < 0).all()
    assert (np.diff([picture.std() for picture in pictures]) < 0).all()


def test_harm_is_a_mark_as_often_as_a_disturbance() -> None:
    good = textured()
    strong = [
        harm_part(good, np.random.default_rng(seed), severity=1.0).astype(int) for seed in range(40)
    ]
    assert all((picture != good).any() for picture in strong)
    kinds = [np.random.default_rng(seed).random() < 0.5 for seed in range(40)]
    assert 10 < sum(kinds) < 30
