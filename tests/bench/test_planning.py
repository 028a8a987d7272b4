"""The search on a small bundle, and the copy that it leaves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgeinspect import building
from edgeinspect.bench import planning
from edgeinspect.bench.candidates import Demand
from edgeinspect.bench.plan_record import write_choice
from edgeinspect.bench.planning import PlanSettings, plan_bundle
from edgeinspect.bench.variants import VariantKey
from edgeinspect.building import BuildRequest
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision
from edgeinspect.errors import ConfigError, EngineError, NotCalibratedError
from tests.bundles import make_bundle, make_labelled

QUICK = PlanSettings(runtimes=("onnxruntime",), batches=(1, 2), threads=(1,), seconds=0.02)
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


def test_threads_are_searched_and_the_choice_names_them(bundle: Bundle, tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, batches=(1,), threads=(1, 2))
    with plan_bundle(bundle, EASY, settings) as found:
        assert [c.key.threads for c in found.candidates] == [1, 2]
        assert len({c.name for c in found.candidates}) == 2
        copy = write_choice(found, tmp_path / "planned.bundle")
    choice = copy.manifest.provenance["plan"]
    assert choice["threads"] == found.choice.key.threads
    assert {"runtime", "precision", "batch"} <= choice.keys()


def test_one_thread_and_all_cores_are_searched_where_nothing_is_said(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    hardware = dataclasses.replace(planning.read_hardware(), n_cores=3)
    monkeypatch.setattr(planning, "read_hardware", lambda: hardware)
    settings = dataclasses.replace(QUICK, batches=(1,), threads=None)
    with plan_bundle(bundle, EASY, settings) as found:
        assert [c.key.threads for c in found.candidates] == [1, 3]


def test_runtimes_of_the_cpu_are_searched_beside_each_other(bundle: Bundle) -> None:
    settings = dataclasses.replace(QUICK, runtimes=("onnxruntime", "openvino"), batches=(1,))
    with plan_bundle(bundle, EASY, settings) as found:
        assert [c.key.runtime for c in found.candidates] == ["onnxruntime", "openvino"]


def test_engines_are_built_in_the_precision_that_is_measured(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx")
    asked: list[BuildRequest] = []

    def build(bundle: Path, request: BuildRequest) -> None:
        asked.append(request)
        raise EngineError("no GPU here")

    names = ("onnxruntime", "tensorrt-rtx")
    keys = [VariantKey(runtime=name, precision=Precision.FP32, batch=1) for name in names]
    monkeypatch.setattr(planning, "variant_keys", lambda bundle, **how: (keys, []))
    monkeypatch.setattr(building, "build_engine", build)
    with plan_bundle(bundle, EASY, dataclasses.replace(QUICK, runtimes=None)) as found:
        assert "no GPU here" in [one.why for one in found.left_out]
    assert [(one.runtime, one.precision) for one in asked] == [("tensorrt-rtx", Precision.FP32)]


@pytest.mark.parametrize(("threads", "words"), [((0,), "0"), ((1, 100_000), "1,100000")])
def test_threads_that_no_machine_has_are_refused(threads: tuple[int, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=f"threads is {words}; write numbers from 1 to 1024"):
        PlanSettings(threads=threads)


def test_merging_without_a_run_is_refused_before_anything_is_measured(bundle: Bundle) -> None:
    settings = dataclasses.replace(QUICK, merge=(8,))
    with (
        pytest.raises(ConfigError, match="--merge was given, and merging takes a new export"),
        plan_bundle(bundle, EASY, settings),
    ):
        pass


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
