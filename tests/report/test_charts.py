"""Charts are well-formed SVG that stands alone, and show what they were given."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.report.charts import Curve, ScoreGroup, roc_chart, score_chart
from edgeinspect.report.svg import nice_ticks

SVG = "{http://www.w3.org/2000/svg}"
FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def bars(svg: str) -> list[ElementTree.Element]:
    """The histogram's bars: every rectangle but the paper."""
    return list(ElementTree.fromstring(svg).iter(f"{SVG}rect"))[1:]


def curve(**changes: object) -> Curve:
    values = {"label": "score", "fpr": [0, 0, 1], "tpr": [0, 0.75, 1], "area": 0.875, **changes}
    return Curve(**values)  # type: ignore[arg-type]


def group(scores: list[float], *, label: str = "good", is_defect: bool = False) -> ScoreGroup:
    return ScoreGroup(label=label, scores=scores, is_defect=is_defect)


def test_a_roc_chart_names_each_curve_and_its_area() -> None:
    shown = texts(roc_chart([curve(is_main=True), curve(label="contrast (-)", area=None)]))
    assert {"score", "0.875", "contrast (-)", "false-reject rate"} <= set(shown)


def test_a_roc_curve_runs_from_the_lower_left_to_the_upper_right_corner() -> None:
    root = ElementTree.fromstring(roc_chart([curve()]))
    points = root.find(f"{SVG}polyline").get("points").split()  # type: ignore[union-attr]
    assert points == ["52,380", "52,125", "392,40"]  # a plot of 340 px at (52, 40)


def test_points_in_the_middle_of_a_straight_run_are_left_out() -> None:
    steps = np.linspace(0, 1, 1000)
    assert len(roc_chart([curve(fpr=steps, tpr=steps)])) < 5000


def test_the_working_point_is_marked() -> None:
    root = ElementTree.fromstring(roc_chart([curve(point=(0.5, 1.0))]))
    mark = root.find(f"{SVG}circle")
    assert mark is not None
    assert (mark.get("cx"), mark.get("cy")) == ("222", "40")


@pytest.mark.parametrize("label", ['<script>alert("1")</script>', "a & b", "Kratzer ß 傷"])
def test_labels_are_text_whatever_they_hold(label: str) -> None:
    svg = score_chart([group([1.0, 2.0], label=label)], title=label)
    assert label in texts(svg)


@pytest.mark.parametrize("label", ["manipulated_front", "w" * 300])
def test_a_long_label_is_not_cut_off_by_the_edge(label: str) -> None:
    root = ElementTree.fromstring(score_chart([group([1.0, 2.0], label=label)]))
    shown = next(t for t in root.iter(f"{SVG}text") if (t.text or "")[:5] == label[:5])
    assert float(shown.get("x") or 0) >= 7.5 * len(shown.text or "")
    assert (shown.text == label) == (len(label) <= 40)


def test_of_characters_that_xml_has_no_place_for_it_is_shown_that_they_are_there() -> None:
    shown = texts(score_chart([group([0.5], label="bell\a and half \udcff")], threshold=1.0))
    assert "bell\N{REPLACEMENT CHARACTER} and half \N{REPLACEMENT CHARACTER}" in shown


@pytest.mark.parametrize("svg", [roc_chart([curve()]), score_chart([group([1, 2])], threshold=1.5)])
def test_a_chart_needs_nothing_from_outside_and_disturbs_nothing(svg: str) -> None:
    addresses = re.findall(r'https?://[^"\s]+', svg)
    assert addresses == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<style|<script|\sid=|\sclass=|url\(", svg)


def test_bars_on_the_wrong_side_of_the_threshold_are_hollow() -> None:
    svg = score_chart(
        [group([0.0, 5.0]), group([0.0, 5.0], label="pit", is_defect=True)], threshold=2.0
    )
    assert [bar.get("stroke") is not None for bar in bars(svg)] == [False, True, True, False]
    assert {"1 of 2 NG", "threshold 2"} <= set(texts(svg))


def test_a_score_at_the_threshold_is_drawn_on_the_ok_side() -> None:
    svg = score_chart([group([0.0, 3.0, 10.0])], threshold=3.0)
    assert [bar.get("stroke") is not None for bar in bars(svg)] == [False, False, True]


def test_one_far_score_does_not_flatten_the_rest() -> None:
    scores = [*np.linspace(0, 1, 200), 1e6]
    svg = score_chart([group(scores)], threshold=0.9)
    assert len(bars(svg)) > 20
    assert any("in the last bar" in text for text in texts(svg))


def test_good_parts_stand_above_defects() -> None:
    svg = score_chart([group([1, 2], label="pit", is_defect=True), group([0, 1])])
    assert texts(svg).index("good") < texts(svg).index("pit")


def test_scores_that_are_not_finite_are_not_drawn() -> None:
    assert "1" in texts(score_chart([group([1.0, float("nan"), float("inf")])]))
    assert "no scores" in texts(score_chart([group([float("nan")])]))[0]


@given(st.lists(FINITE, min_size=1, max_size=30), st.none() | FINITE)
def test_any_scores_make_a_chart(scores: list[float], threshold: float | None) -> None:
    svg = score_chart([group(scores)], threshold=threshold)
    xs = [float(bar.get("x") or "nan") for bar in bars(svg)]
    assert xs
    assert all(132 <= x <= 592 for x in xs)  # within the axis


@given(FINITE, st.floats(1e-6, 1e6))
def test_ticks_are_few_and_within_the_range(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    slack = 1e-6 * (abs(low) + span)
    assert len(ticks) <= 13
    assert all(low - slack <= tick <= low + span + slack for tick in ticks)
