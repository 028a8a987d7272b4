"""The front as a picture: every setting is numbered and named."""

from __future__ import annotations

from xml.etree import ElementTree

from edgeinspect.bench.pareto_chart import Setting, pareto_chart


def setting(name: str, p99_ms: float, auroc: float, **is_: bool) -> Setting:
    values = {"is_on_front": False, "is_chosen": False, **is_}
    return Setting(name=name, p99_ms=p99_ms, auroc=auroc, **values)


def texts(chart: str) -> list[tuple[str, float, float]]:
    """Words with where they stand."""
    nodes = [n for n in ElementTree.fromstring(chart).iter() if n.tag.endswith("text")]
    return [(n.text or "", float(n.attrib["x"]), float(n.attrib["y"])) for n in nodes]


def test_settings_are_numbered_from_the_fastest_and_named_below() -> None:
    slow = setting("slow", 20, 0.95, is_on_front=True, is_chosen=True)
    words = [
        one[0] for one in texts(pareto_chart([slow, setting("a < b", 10, 0.9)], deadline_ms=15))
    ]
    assert words[-4:] == ["1", "a < b: 10 ms, 0.900", "2", "slow: 20 ms, 0.950, chosen"]


def test_settings_that_are_alike_can_be_drawn() -> None:
    chart = pareto_chart([setting("a", 10, 0.9), setting("b", 10, 0.9)], deadline_ms=10)
    assert "nan" not in chart
    numbers = [place for word, *place in texts(chart) if word in ("1", "2")]
    assert numbers[0] != numbers[1]


def test_a_deadline_far_off_is_told_instead_of_drawn() -> None:
    settings = [setting("a", 10, 0.9), setting("b", 12, 0.95)]
    near, far = (pareto_chart(settings, deadline_ms=ms) for ms in (15, 400))
    assert "stroke-dasharray" in near
    assert "stroke-dasharray" not in far
    assert "deadline 400 ms, to the right" in far


def test_no_area_above_one_is_marked() -> None:
    chart = pareto_chart([setting("a", 10, 1.0), setting("b", 12, 1.0)], deadline_ms=15)
    marks = [float(word) for word, x, _ in texts(chart) if x == 64]
    assert max(marks) <= 1.0


def test_in_a_crowd_the_choice_and_the_front_keep_their_numbers() -> None:
    crowd = [setting(f"s{i}", 10 + 0.01 * i, 0.9) for i in range(30)]
    marked = setting("front", 9.9, 0.901, is_on_front=True)
    chosen = setting("chosen", 10.5, 0.9, is_chosen=True)
    found = texts(pareto_chart([*crowd, marked, chosen], deadline_ms=20))
    in_plot = [word for word, _, y in found if word.isdigit() and 56 < y < 290]
    assert {"1", "32"} <= set(in_plot)
    assert len(in_plot) < 10
