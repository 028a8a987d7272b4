"""The choice as it lies in a bundle, and as a bench shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeinspect.bench.candidates import Demand
from edgeinspect.bench.folder import render_markdown, render_record
from edgeinspect.bench.plan_record import front_chart, front_table, read_plan, write_choice
from edgeinspect.bench.planning import PlanSettings, plan_bundle
from edgeinspect.bundle import Bundle, read_bundle
from tests.bench.reports import report
from tests.bundles import make_bundle, make_labelled
from tests.chromium import look_at

QUICK = PlanSettings(runtimes=("onnxruntime",), batches=(1, 2), threads=(1,), seconds=0.02)
EASY = Demand(deadline_ms=5000)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle"), has_golden=True))


@pytest.fixture(scope="module")
def planned(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("planned")
    labelled = make_labelled(folder / "parts")
    with plan_bundle(bundle, EASY, QUICK, data=labelled) as found:
        return write_choice(found, folder / "planned.bundle")


def test_the_choice_is_in_a_copy_that_is_a_bundle(bundle: Bundle, planned: Bundle) -> None:
    again = read_bundle(planned.path)
    plan = read_plan(again)
    assert again.calibration is not None
    assert plan is not None
    assert plan["choice"]["name"] in {c["name"] for c in plan["candidates"]}
    chosen = again.manifest.provenance["plan"]
    assert {**plan["choice"], **chosen} == chosen
    assert chosen["hardware"]["cpu"] == plan["hardware"]["cpu"]
    assert (again.path / "plan.svg").exists()
    assert again.name == bundle.name
    assert "plan" not in bundle.manifest.provenance
    assert read_plan(bundle) is None


def test_planning_again_leaves_nothing_of_the_plan_before(planned: Bundle, tmp_path: Path) -> None:
    with plan_bundle(planned, Demand(deadline_ms=4000), QUICK) as found:
        copy = write_choice(found, tmp_path / "again.bundle")
    plan = read_plan(copy)
    assert plan is not None
    assert plan["demand"]["deadline_ms"] == 4000
    assert front_chart(plan) is None
    assert not (copy.path / "plan.svg").exists()


def test_the_front_and_the_choice_are_in_the_table(planned: Bundle) -> None:
    plan = read_plan(planned)
    assert plan is not None
    table = front_table(plan)
    assert {line[0] for line in table.lines} == {*plan["front"], plan["choice"]["name"]}
    assert [line[-1] for line in table.lines].count("yes") == 1
    assert "for a deadline of 5000 ms that at most 1 % of the parts may miss" in table.note


def test_the_record_of_a_planned_bundle_shows_the_front(planned: Bundle, tmp_path: Path) -> None:
    found = report(plan=read_plan(planned))
    page = tmp_path / "bench.html"
    page.write_text(render_record(found))
    seen = look_at(page, tmp_path)
    assert seen.n_charts == 4
    assert "Settings that the plan chose from" in seen.text
    assert "## Settings that the plan chose from" in render_markdown(found)
