"""Settings of a plan, as `run` takes them."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import asdict
from typing import Any

import pytest

from edgeinspect.bench.comparison import SAME_BOX
from edgeinspect.bench.machine import read_hardware
from edgeinspect.bench.planned import settle
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision
from edgeinspect.errors import ConfigError
from tests.bundles import make_bundle

HERE = {key: asdict(read_hardware())[key] for key in SAME_BOX}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle"), has_golden=True))


def planned(bundle: Bundle, **changes: Any) -> Bundle:
    plan = {
        "runtime": "onnxruntime",
        "precision": "fp16",
        "batch": 4,
        "threads": None,
        "hardware": HERE,
        **changes,
    }
    provenance = {**bundle.manifest.provenance, "plan": plan}
    manifest = dataclasses.replace(bundle.manifest, provenance=provenance)
    return dataclasses.replace(bundle, manifest=manifest)


def test_without_a_plan_nothing_comes_from_it(bundle: Bundle) -> None:
    found = settle(bundle, batch=2)
    assert (found.runtime, found.precision, found.batch, found.threads) == ("auto", None, 2, None)
    assert not found.from_plan


def test_what_nobody_gave_comes_from_the_plan(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "edgeinspect"):
        found = settle(planned(bundle))
    assert (found.runtime, found.precision, found.batch) == ("onnxruntime", Precision.FP16, 4)
    assert found.threads is None
    (told,) = caplog.messages
    assert told == "settings of the bundle's plan: runtime onnxruntime, precision fp16, batch 4"


def test_what_was_given_wins(bundle: Bundle) -> None:
    found = settle(planned(bundle, threads=2), precision=Precision.FP32, batch=1, threads=1)
    assert (found.precision, found.batch, found.threads) == (Precision.FP32, 1, 1)
    assert dict(found.from_plan) == {"runtime": "onnxruntime"}


@pytest.mark.parametrize("runtime", ["auto", "tensorrt"])
def test_the_plans_precision_goes_with_its_runtime(bundle: Bundle, runtime: str) -> None:
    found = settle(planned(bundle, threads=2), runtime=runtime)
    assert (found.runtime, found.precision) == (runtime, None)
    assert dict(found.from_plan) == {"batch": 4, "threads": 2}


def test_a_runtime_that_is_not_here_is_told_and_the_usual_one_taken(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    found = settle(planned(bundle, runtime="tensorrt"))
    assert (found.runtime, found.precision, found.batch) == ("auto", None, 4)
    (warned,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "planned for tensorrt, which cannot be used here; the usual runtime is taken" in warned


def test_a_plan_of_another_box_is_told_once_and_used(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    found = settle(planned(bundle, hardware={**HERE, "cpu": "Another 9000", "n_cores": 99}))
    assert found.runtime == "onnxruntime"
    (warned,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "planned on other hardware (cpu Another 9000 and " in warned
    assert "cores 99 and " in warned


def test_a_plan_whose_precision_does_not_exist_is_refused(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="precision is 'fp12'"):
        settle(planned(bundle, precision="fp12"))
