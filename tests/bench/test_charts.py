"""Charts of a bench: well-formed, and with what they are to show."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest

from edgeinspect.bench.charts import LETTER_PX, Point, latency_chart, roofline_chart, stage_chart
from edgeinspect.report.svg import SMALL_PX


def words(text: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(text).iter()]


@pytest.mark.parametrize("times", [[1.0, 1.0], [1.0, 2.0, 3.0], [0.5, 400.0]])
def test_latencies_of_any_spread_can_be_drawn(times: list[float]) -> None:
    text = latency_chart({"a < b": times, "slow": [9.0, 10.0]})
    assert "a < b" in words(text)
    assert "nan" not in text


def test_stages_that_no_runtime_has_are_not_in_the_legend() -> None:
    found = words(stage_chart({"cpu": {"decode": 1.0, "compute": 3.0}}))
    assert "decode" in found
    assert "copy in" not in found
    assert "4" in found  # the sum


def test_points_stand_under_the_roof() -> None:
    points = [Point(label="batch 1", x=10, y=20e9), Point(label="batch 8", x=40, y=60e9)]
    text = roofline_chart(points, peak_flop_per_s=100e9, peak_bytes_per_s=10e9, title="Roof")
    root = ElementTree.fromstring(text)
    circles = [n for n in root.iter() if n.tag.endswith("circle")]
    roof = next(n for n in root.iter() if n.tag.endswith("polyline"))
    top = min(float(p.split(",")[1]) for p in roof.attrib["points"].split())
    assert all(float(c.attrib["cy"]) > top for c in circles)
    assert float(circles[0].attrib["cx"]) < float(circles[1].attrib["cx"])


def test_labels_of_points_that_lie_together_do_not_lie_on_each_other() -> None:
    # On both sides of where labels change to the other side of their point.
    xs = {"batch 1": 18.0, "batch 2": 18.6, "batch 4": 19.2, "batch 32": 28.0}
    points = [Point(label=name, x=x, y=(60 + x / 9) * 1e9) for name, x in xs.items()]
    text = roofline_chart(points, peak_flop_per_s=120e9, peak_bytes_per_s=14e9, title="Roof")
    labels = [n for n in ElementTree.fromstring(text).iter() if n.text in xs]
    assert {label.get("text-anchor", "start") for label in labels} == {"start", "end"}
    for one, other in itertools.combinations(labels, 2):
        is_apart = abs(float(one.attrib["y"]) - float(other.attrib["y"])) >= SMALL_PX
        (_, left), (right, _) = sorted(map(_ends, (one, other)))
        assert is_apart or left <= right


def _ends(label: ElementTree.Element) -> tuple[float, float]:
    """Left and right end of a text, as if all its letters were wide."""
    x, width = float(label.attrib["x"]), LETTER_PX * len(label.text or "")
    return (x - width, x) if label.get("text-anchor") == "end" else (x, x + width)
