"""The page of an inspection: what it says, that it stands alone, and how a browser shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeinspect.report.charts import Curve, roc_chart
from edgeinspect.report.page import (
    DemoLatency,
    InspectionPage,
    PartView,
    inline_jpeg,
    render_page,
    write_page,
)
from tests.chromium import look_at

NARROW_PX = 500  # Chromium's narrowest window
N_PARTS = 6


def test_a_part_is_judged_against_its_truth() -> None:
    assert make_part(verdict="OK", truth="good").judgement == "right"
    assert make_part(verdict="NG", truth="pit").judgement == "right"
    assert make_part(verdict="OK", truth="pit").judgement == "escape"
    assert make_part(verdict="NG", truth="good").judgement == "false reject"
    assert make_part(verdict="NG", truth=None).judgement == "unknown"
    assert make_part(verdict="NOT-INSPECTED", truth="good").judgement == "unknown"


def test_percentiles_are_those_of_numpy() -> None:
    times = np.random.default_rng(0).gamma(2, size=101)
    latency = DemoLatency.of(list(times), first_verdict_ms=300)
    assert latency.p90_ms == pytest.approx(np.percentile(times, 90))
    assert latency.rate_per_s == pytest.approx(1000 / np.median(times))


def test_names_from_the_world_cannot_break_the_page() -> None:
    page = make_page(make_part(name="<script>alert(1)</script>.png"))
    assert "<script>" not in render_page(page)


def test_a_part_without_score_says_so() -> None:
    page = make_page(make_part(verdict="NOT-INSPECTED", reason="unreadable", score=None))
    html = render_page(page)
    assert "no score" in html
    assert "unreadable" in html


def test_a_page_without_defects_has_no_auroc() -> None:
    assert '<div class="value">none</div>' in render_page(
        replace(make_page(), auroc=None, auroc_interval=None)
    )


def test_chromium_shows_every_part_and_nothing_from_outside(tmp_path: Path) -> None:
    write_page(make_page(), tmp_path / "index.html")
    seen = look_at(tmp_path / "index.html", tmp_path)
    assert seen.title == "Six parts"
    assert (seen.n_parts, seen.n_images, seen.n_charts) == (N_PARTS, 2 * N_PARTS, 1)
    assert seen.addresses == []
    assert seen.console == []


def test_a_narrow_window_never_scrolls_sideways(tmp_path: Path) -> None:
    long = make_part(name="a-very-long-name-of-a-picture-from-a-camera-" * 3)
    write_page(make_page(long), tmp_path / "index.html")
    seen = look_at(tmp_path / "index.html", tmp_path, width=NARROW_PX)
    assert seen.width == NARROW_PX
    assert seen.scroll_width == NARROW_PX


def make_part(
    *,
    name: str = "part.png",
    verdict: str = "NG",
    truth: str | None = "pit",
    reason: str | None = None,
    score: float | None = 3.0,
) -> PartView:
    picture = inline_jpeg(np.full((32, 32, 3), 128, np.uint8))
    return PartView(
        name=name,
        verdict=verdict,
        reason=reason,
        truth=truth,
        score=score,
        score_share=1.5,
        latency_ms=12.0,
        picture=picture,
        heat_map=picture,
    )


def make_page(part: PartView | None = None) -> InspectionPage:
    curve = Curve(label="bundle", fpr=[0, 0, 1], tpr=[0, 1, 1], area=1.0, is_main=True)
    return InspectionPage(
        title="Six parts",
        lead="For a test.",
        parts=(part or make_part(),) * N_PARTS,
        threshold=2.0,
        auroc=1.0,
        auroc_interval=(0.9, 1.0),
        latency=DemoLatency(p50_ms=12, p90_ms=14, p99_ms=20, first_verdict_ms=400),
        charts=(roc_chart([curve]),),
        facts=(("bundle", "part"),),
        next_commands=("edgeinspect fit GOOD part.bundle",),
    )
