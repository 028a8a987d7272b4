from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeinspect.report.overlays import (
    LONGEST_SIDE,
    MAP_STEPS,
    SHORTEST_SIDE,
    VERDICT_COLOURS,
    blend_heat,
    draw_overlay,
    encode_jpeg,
    encode_map,
    heat_strength,
)
from edgeinspect.runtime.inspection import Inspection, Reason, Verdict
from edgeinspect.runtime.regions import Region

CAPTION_PX = 34
GREY = np.full((90, 120, 3), 120, np.uint8)


def inspected(verdict: Verdict = Verdict.NG, hw: tuple[int, int] = (90, 120)) -> Inspection:
    anomaly_map = np.zeros((64, 64), np.float32)
    anomaly_map[32:40, 16:24] = 20
    box = (hw[1] // 4, hw[0] // 2, hw[1] // 8, hw[0] // 8)
    return Inspection(
        verdict=verdict,
        threshold=1.5,
        picture_hw=hw,
        score=3.0,
        local_score=3.0,
        global_score=1.0,
        scale=0,
        regions=(Region(box=box, area_px=100, peak=20.0),) if verdict is Verdict.NG else (),
        anomaly_map=anomaly_map,
        map_level=5.0,
    )


def colourfulness(picture: np.ndarray) -> np.ndarray:
    return picture.max(axis=-1).astype(int) - picture.min(axis=-1)


def test_heat_is_half_at_the_level_none_at_half_of_it_and_full_at_four_times():
    values = np.array([[-3, 0, 2.5, 5, 10, 20]], np.float32)
    strength = heat_strength(values, level=5.0)
    assert strength == pytest.approx(np.array([[0, 0, 0, 0.5, 0.75, 1]]), abs=1e-6)


def test_a_strong_defect_shows_where_it_is_strongest_and_how_far_it_reaches():
    values = np.array([[5, 50, 500, np.inf]], np.float32)
    strength = heat_strength(values, level=5.0)
    assert strength == pytest.approx(np.array([[0.5, 0.75, 1, 1]]), abs=1e-6)


@given(
    low=st.floats(-1e6, 1e6, width=32),
    high=st.floats(-1e6, 1e6, width=32),
    level=st.floats(0.01, 1e4),
)
def test_more_anomaly_is_never_less_heat(low, high, level):
    low, high = sorted((low, high))
    cold, hot = heat_strength(np.array([low, high], np.float32), level=level)
    assert 0 <= cold <= hot <= 1


@pytest.mark.parametrize("level", [0.0, -1.0, np.nan, np.inf])
def test_a_level_that_is_no_level_still_draws(level):
    strength = heat_strength(np.array([[0.0, np.nan, np.inf]], np.float32), level=level)
    assert np.isfinite(strength).all()
    assert strength[0, 1] == 0


def test_without_anomaly_the_picture_stays_grey():
    blended = blend_heat(GREY, np.zeros((64, 64), np.float32), level=5.0)
    assert blended.shape == GREY.shape
    assert colourfulness(blended).max() == 0


def test_heat_lies_where_the_map_is_strong_whatever_its_size():
    colour = colourfulness(blend_heat(GREY, inspected().anomaly_map, level=5.0))
    assert colour[46:55, 31:44].min() > 100
    assert colour[:40].max() == 0


def test_an_overlay_has_a_caption_in_the_colour_of_its_verdict():
    for verdict, colour in VERDICT_COLOURS.items():
        reason = Reason.NON_FINITE if verdict is Verdict.NOT_INSPECTED else None
        inspection = Inspection(
            verdict=verdict, reason=reason, threshold=1.0, picture_hw=(90, 120), score=2.0
        )
        overlay = draw_overlay(GREY, inspection)
        assert tuple(overlay[-CAPTION_PX, 0]) == colour


@settings(max_examples=25)
@given(height=st.integers(1, 2400), width=st.integers(1, 2400))
def test_an_overlay_has_a_size_that_can_be_looked_at(height, width):
    picture = np.zeros((height, width, 3), np.uint8)
    overlay = draw_overlay(picture, inspected(hw=(height, width)))
    assert max(overlay.shape[0] - CAPTION_PX, overlay.shape[1]) <= LONGEST_SIDE
    if max(height, width) * SHORTEST_SIDE <= LONGEST_SIDE * min(height, width):  # both can be
        assert min(overlay.shape[0] - CAPTION_PX, overlay.shape[1]) >= SHORTEST_SIDE - 1


def test_the_box_is_drawn_around_the_region_and_moves_with_the_zoom():
    with_box = draw_overlay(GREY, inspected())
    without = draw_overlay(GREY, inspected(Verdict.OK))
    rows, columns = np.nonzero((with_box != without)[:-CAPTION_PX].any(axis=-1))
    zoom = with_box.shape[1] // 120
    assert zoom == 4
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()]) / zoom
    assert box == pytest.approx([30, 45, 45, 56], abs=2)


def test_a_box_at_the_rim_stays_visible():
    rim = Region(box=(100, 0, 20, 90), area_px=1800, peak=20.0)
    at_rim = Inspection(
        verdict=Verdict.NG, threshold=1.0, picture_hw=(90, 120), score=2.0, regions=(rim,)
    )
    overlay = draw_overlay(GREY, at_rim)[:-CAPTION_PX]
    assert colourfulness(overlay)[:4].max() > 50
    assert colourfulness(overlay)[:, -4:].max() > 50


def test_a_title_that_the_font_cannot_draw_is_no_error():
    overlay = draw_overlay(GREY, inspected(), title="größe_零件.png")
    assert overlay.shape[1] == 480


@given(
    z=st.lists(st.floats(-10, 255, width=32), min_size=1, max_size=20),
)
def test_a_stored_map_gives_its_z_back(z):
    stored = cv2.imdecode(
        np.frombuffer(encode_map(np.array([z], np.float32)), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert np.allclose(stored[0] / MAP_STEPS, np.maximum(z, 0), atol=0.5 / MAP_STEPS)


def test_a_stored_map_bounds_what_is_not_finite():
    values = np.array([[np.nan, np.inf, -np.inf, 1e9]], np.float32)
    stored = cv2.imdecode(np.frombuffer(encode_map(values), np.uint8), cv2.IMREAD_UNCHANGED)
    assert stored.tolist() == [[0, 65535, 0, 65535]]


def test_a_jpeg_keeps_red_red():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    decoded = cv2.imdecode(np.frombuffer(encode_jpeg(red), np.uint8), cv2.IMREAD_COLOR)
    assert decoded[16, 16, 2] > 180  # OpenCV decodes to BGR
    assert decoded[16, 16, 0] < 30


@pytest.mark.parametrize("verdict", Verdict)
def test_a_grey_picture_is_drawn_as_the_same_one_in_colour(verdict):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120), dtype=np.uint8)
    in_colour = np.repeat(noise[..., None], 3, axis=-1)
    for inspection in (inspected(verdict), replace(inspected(verdict), anomaly_map=None)):
        overlay = draw_overlay(in_colour, inspection)
        assert np.array_equal(draw_overlay(noise, inspection), overlay)


def test_a_grey_picture_is_not_mirrored_in_its_file():
    left_is_white = np.zeros((16, 32), np.uint8)
    left_is_white[:, :16] = 255
    data = np.frombuffer(encode_jpeg(left_is_white), np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert decoded[:, :8].min() > 200
    assert decoded[:, 24:].max() < 50
