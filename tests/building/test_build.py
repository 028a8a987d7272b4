"""From a request to an installed engine: reuse, proof, and what a failure leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeinspect.building import Build, BuildRequest, build_engine
from edgeinspect.building import request as request_module
from edgeinspect.config import Precision
from edgeinspect.engines import (
    VERSION_COMPATIBLE,
    BatchRange,
    list_engines,
    require_trusted,
)
from edgeinspect.errors import BundleError, EngineError, OutputError
from tests.building.fake_tensorrt import PLAN, Behaviour, fake_tensorrt
from tests.building.machines import ORIN, StandInSessions
from tests.bundles import make_bundle

FP32 = {"precision": Precision.FP32}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path, has_golden=True)


@pytest.fixture
def behaviour(monkeypatch: pytest.MonkeyPatch) -> Behaviour:
    """TensorRT 10.3 on a Jetson."""
    made = Behaviour(product_type="FLOAT")
    monkeypatch.setattr(request_module, "find_tensorrt", lambda runtime: fake_tensorrt(made))
    return made


def _build(bundle: Path, *, sessions: StandInSessions | None = None, **request: Any) -> Build:
    return build_engine(
        bundle,
        BuildRequest(**{**FP32, **request}),
        find_gpu=lambda: ORIN,
        open_plan=sessions or StandInSessions(bundle),
    )


def test_an_engine_built_on_its_gpu_is_proven_and_installed(bundle, behaviour):
    engine = _build(bundle).engine
    assert engine.read_plan() == PLAN
    proof = engine.receipt.proof
    assert proof is not None
    assert (proof.gpu, proof.n_images, proof.score_error) == ("Orin", 3, 0.0)


def test_the_receipt_tells_what_only_the_engine_knows(bundle, behaviour):
    receipt = _build(bundle).engine.receipt
    assert receipt.device_memory_bytes == 1 << 20
    assert (receipt.layers.n_fp16, receipt.layers.n_fused_attention) == (2, 1)
    assert receipt.layers.is_of_engine


@pytest.mark.parametrize("is_compatible", [True, False])
def test_an_engine_that_brings_code_may_run_where_it_was_built(bundle, behaviour, is_compatible):
    receipt = _build(bundle, is_version_compatible=is_compatible).engine.receipt
    assert receipt.key.flags == ((VERSION_COMPATIBLE,) if is_compatible else ())
    require_trusted(receipt, bundle)


def test_an_engine_that_computes_something_else_is_not_installed(bundle, behaviour):
    wrong = StandInSessions(bundle, factor=1.5)
    with pytest.raises(EngineError, match=r"does not compute what was trained: .*bad\.png"):
        _build(bundle, sessions=wrong)
    assert list_engines(bundle) == []
    assert not list((bundle / "engines").glob("*.plan"))


def test_a_second_request_finds_the_engine(bundle, behaviour):
    first, second = _build(bundle), _build(bundle)
    assert (first.was_there, second.was_there) == (False, True)
    assert first.engine == second.engine


def test_force_builds_again(bundle, behaviour):
    _build(bundle)
    assert not _build(bundle, force=True).was_there


def test_why_a_new_engine_is_built_is_said_in_words(bundle, behaviour, caplog):
    caplog.set_level("INFO")
    _build(bundle)
    _build(bundle, batch=BatchRange.parse("4"))
    assert "batch 1,1,8, not 4,4,4" in caplog.text
    assert len(list_engines(bundle)) == 2


def test_a_truncated_plan_is_built_again_and_told(bundle, behaviour, caplog):
    caplog.set_level("INFO")
    _build(bundle).engine.plan_path.write_bytes(b"half")
    assert not _build(bundle).was_there
    assert "has 4 bytes of" in caplog.text
    assert list_engines(bundle)[0].read_plan() == PLAN


def test_golden_pictures_go_through_in_batches_that_the_engine_takes(bundle, behaviour):
    sessions = StandInSessions(bundle, max_batch=2)
    _build(bundle, sessions=sessions)
    assert sessions.calls == [2, 1]


def test_an_fp16_engine_that_names_no_fp16_is_told(bundle, behaviour, monkeypatch, caplog):
    behaviour.product_type = "HALF"
    behaviour.information = behaviour.information.replace("Half", "Float")
    path = "edgeinspect.bundle.Bundle.graph_path"
    monkeypatch.setattr(path, lambda self, precision: self.path / "graph_fp32.onnx")
    _build(bundle, precision=Precision.FP16)
    assert "none of the engine's 3 layers says that it computes in FP16" in caplog.text


def test_a_bundle_without_golden_outputs_is_refused(bundle, behaviour):
    (bundle / "golden.npz").unlink()
    with pytest.raises(BundleError, match=r"golden\.npz"):
        _build(bundle)


def test_a_timing_cache_is_written_and_read_again(bundle, behaviour, tmp_path):
    cache = tmp_path / "cache"
    _build(bundle, timing_cache=cache)
    _build(bundle, timing_cache=cache, force=True)
    assert behaviour.timing_caches == [b"", b"learned"]


def test_a_timing_cache_that_cannot_be_read_is_an_error(bundle, behaviour, tmp_path):
    with pytest.raises(EngineError, match=r"cannot read the timing cache .*: Is a directory"):
        _build(bundle, timing_cache=tmp_path)


def test_a_place_for_the_timing_cache_that_cannot_be_written_is_an_error(bundle, behaviour):
    with pytest.raises(OutputError, match="cannot write"):
        _build(bundle, timing_cache=Path("/proc/cache"))
    assert _build(bundle).was_there  # what took minutes is kept


def test_what_is_no_bundle_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(BundleError, match="there is no bundle"):
        build_engine(tmp_path / "none", BuildRequest(), find_gpu=lambda: None)
    assert not list(tmp_path.iterdir())
