"""The search on a small bundle, and the copy that it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeinspect.bench.candidates import Demand
from edgeinspect.bench.planning import PlanSettings, plan_bundle
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.errors import ConfigError, NotCalibratedError
from tests.bundles import make_bundle, make_labelled

QUICK = PlanSettings(batches=(1, 2), threads=1, seconds=0.02)
EASY = Demand(deadline_ms=5000)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle"), has_golden=True))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_labelled(tmp_path_factory.mktemp("parts"))


def test_every_setting_is_measured_with_its_auroc(bundle: Bundle, labelled: Path) -> None:
    with plan_bundle(bundle, EASY, QUICK, data=labelled) as found:
        assert [c.key.batch for c in found.candidates] == [1, 2]
        assert [c.auroc for c in found.candidates] == [1.0, 1.0]
        assert found.choice.meets
        assert found.front
        assert any(one.name == "scales, merging, tiles" for one in found.left_out)


def test_a_deadline_that_nothing_meets_names_the_nearest(bundle: Bundle) -> None:
    with (
        pytest.raises(ConfigError, match=r"no setting meets 1e-06 ms; the nearest is onnxruntime"),
        plan_bundle(bundle, Demand(deadline_ms=1e-6), QUICK),
    ):
        pass


def test_an_uncalibrated_bundle_is_refused(tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path, calibrated=False, has_golden=True))
    with pytest.raises(NotCalibratedError), plan_bundle(bundle, EASY, QUICK):
        pass


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"run": Path("run")}, "one of --run and --good"),
        ({"run": Path("run"), "good": Path("good")}, "measured, never assumed"),
    ],
)
def test_a_new_export_needs_all_that_measures_its_cost(
    bundle: Bundle, given: dict[str, Path], words: str
) -> None:
    with pytest.raises(ConfigError, match=words), plan_bundle(bundle, EASY, QUICK, **given):
        pass
