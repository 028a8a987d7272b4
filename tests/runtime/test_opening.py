"""Which runtime a session gets, and what an engine must prove before its first part."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision
from edgeinspect.engines import (
    VERSION_COMPATIBLE,
    BatchRange,
    Engine,
    Proof,
    graph_sha256,
    host_system,
    install_engine,
    list_engines,
    store,
    trust_engines,
)
from edgeinspect.errors import BundleError, EngineError, MissingPackageError, ParityError
from edgeinspect.gpu import Gpu
from edgeinspect.runtime import opening, tensorrt
from edgeinspect.runtime.opening import check_runtime, pick_runtime
from edgeinspect.runtime.session import open_session
from edgeinspect.tensorrt_adapter import Flavour
from tests.bundles import bad_picture, good_picture, make_bundle
from tests.engines.receipts import KEY, PLAN, receipt_for
from tests.runtime.fake_cuda import FakeDriver
from tests.runtime.fake_tensorrt import VERSION, FakeEngine, fake_tensorrt

GPU = Gpu(
    name="Orin", compute_capability="8.7", memory_bytes=1 << 33, is_integrated=True, cuda="12.6"
)
PROOF = Proof(
    gpu="Orin",
    compute_capability="8.7",
    runtime=f"tensorrt {VERSION}",
    at="2026-01-02T03:04:05+00:00",
    n_images=3,
    n_ties=0,
    score_error=0.0,
    map_error=0.0,
    map_correlation=1.0,
    n_scale_changes=0,
)
IMAGES = np.stack([good_picture(0), bad_picture(1)])
TILE = np.zeros(2, np.int32)

Fault = Callable[[dict[str, Any]], None]


@dataclass
class Machine:
    """A box with TensorRT and a GPU, and all drivers that sessions opened there."""

    drivers: list[FakeDriver] = field(default_factory=list)

    def install(self, bundle: Bundle, monkeypatch: Any, fault: Fault | None = None) -> None:
        graph, drivers = bundle.graph_path(Precision.FP16), self.drivers

        class Runtime:
            def __init__(self, logger: Any) -> None:
                self.logger = logger

            def deserialize_cuda_engine(self, plan: bytes) -> FakeEngine | None:
                return FakeEngine(graph, drivers[-1], fault=fault) if plan == PLAN else None

        module = fake_tensorrt()
        module.Runtime = Runtime
        monkeypatch.setitem(sys.modules, "tensorrt", module)
        monkeypatch.setattr(opening, "read_gpu", lambda: GPU)
        monkeypatch.setattr(opening, "installed_flavours", lambda: (Flavour.TENSORRT,))
        monkeypatch.setattr(tensorrt, "open_driver", self.open_driver)
        monkeypatch.setattr(opening, "open_driver", self.open_driver)

    def open_driver(self) -> FakeDriver:
        self.drivers.append(FakeDriver())
        return self.drivers[-1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"), has_golden=True)


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Bundle:
    return read_bundle(Path(shutil.copytree(made, tmp_path / "part.bundle")))


@pytest.fixture
def machine(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    machine.install(bundle, monkeypatch)
    return machine


def install(bundle: Bundle, proof: Proof | None = PROOF, **changes: Any) -> Engine:
    key = dataclasses.replace(
        KEY,
        graph_sha256=graph_sha256(bundle, Precision.FP16),
        version=VERSION,
        system=host_system(),
        batch=BatchRange(smallest=1, tuned=1, largest=4),
    )
    key = dataclasses.replace(key, **changes)
    return install_engine(
        bundle, PLAN, receipt_for(key, is_verified=proof is not None, proof=proof)
    )


def test_auto_takes_the_engine_that_fits_this_gpu(bundle: Bundle, machine: Machine) -> None:
    install(bundle)
    with open_session(bundle, batch=2) as session:
        assert session.name == "tensorrt"
        assert session.infer(IMAGES, TILE).score.shape == (2,)
    assert len(machine.drivers) == 1
    machine.drivers[0].assert_nothing_is_held()


def test_a_session_tells_the_precision_and_the_engine_that_it_runs(
    bundle: Bundle, machine: Machine
) -> None:
    engine = install(bundle)
    with open_session(bundle) as session:
        assert (session.precision, session.engine) == (Precision.FP16, engine.receipt.fingerprint)
    with open_session(bundle, runtime="onnxruntime", threads=1) as session:
        assert (session.precision, session.engine) == (Precision.FP32, None)


def test_auto_says_why_no_engine_is_used(
    bundle: Bundle, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    install(bundle, version="10.16.1")
    with caplog.at_level(logging.WARNING), open_session(bundle, threads=1) as session:
        assert session.name == "onnxruntime"
    assert "version of tensorrt 10.16.1, not 10.3.0" in caplog.text
    assert "edgeinspect build-engine" in caplog.text


def test_auto_takes_the_next_runtime_where_there_is_no_fp16_graph_to_have_an_engine_of(
    bundle: Bundle, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    bundle.graph_path(Precision.FP16).unlink()
    manifest = bundle.path / "manifest.json"
    facts = json.loads(manifest.read_text())
    del facts["files"]["graph_fp16.onnx"]
    manifest.write_text(json.dumps(facts))
    with caplog.at_level(logging.WARNING), open_session(read_bundle(bundle.path)) as session:
        assert session.name == "onnxruntime"
    assert len(caplog.records) == 1
    assert "no engine is used" in caplog.text
    assert "fp16" in caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "sm86"}, "target sm86, not sm87"),
        ({"version": "10.4.0"}, "version of tensorrt 10.4.0, not 10.3.0"),
        ({"graph_sha256": "cd" * 32}, "graph cdcdcdcdcdcd, not"),
        ({"batch": BatchRange(smallest=8, tuned=8, largest=8)}, "batch 8 to 8, not 1"),
    ],
)
def test_an_engine_of_something_else_is_refused_in_words(
    bundle: Bundle, machine: Machine, change: dict[str, Any], words: str
) -> None:
    install(bundle, **change)
    with pytest.raises(EngineError, match=rf"{words}.*edgeinspect build-engine"):
        open_session(bundle, runtime="tensorrt")


def test_a_truncated_plan_is_refused(bundle: Bundle, machine: Machine) -> None:
    engine = install(bundle)
    engine.plan_path.write_bytes(PLAN[:10])
    with pytest.raises(EngineError, match=f"has 10 bytes of {len(PLAN)}"):
        open_session(bundle, runtime="tensorrt")


def test_a_plan_that_tensorrt_refuses_closes_the_driver(
    bundle: Bundle, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(bundle)
    monkeypatch.setattr(sys.modules["tensorrt"], "Runtime", fake_tensorrt(plan=b"other").Runtime)
    with pytest.raises(EngineError, match="cannot load the engine: the plan is of another"):
        open_session(bundle, runtime="tensorrt")
    assert machine.drivers[0].is_closed


def test_an_engine_built_ahead_of_time_proves_itself_once(bundle: Bundle, machine: Machine) -> None:
    install(bundle, proof=None)
    for _ in range(2):
        open_session(bundle, runtime="tensorrt").close()
    assert len(machine.drivers) == 3  # the proof, and two sessions
    receipt = list_engines(bundle.path)[0].receipt
    assert receipt.is_verified
    assert receipt.proof is not None
    assert (receipt.proof.gpu, receipt.proof.n_images) == ("Orin", 3)


def test_an_engine_that_proves_itself_while_its_bundle_is_calibrated_is_used(
    bundle: Bundle, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_use(path: Path) -> None:
        raise BundleError(f"{path} is being changed by another process")

    install(bundle, proof=None)
    monkeypatch.setattr(store, "bundle_lock", in_use)
    open_session(bundle, runtime="tensorrt").close()
    assert not list_engines(bundle.path)[0].receipt.is_verified


def test_an_engine_proven_on_another_gpu_proves_itself_here(
    bundle: Bundle, machine: Machine
) -> None:
    install(bundle, proof=dataclasses.replace(PROOF, compute_capability="8.6"))
    open_session(bundle, runtime="tensorrt").close()
    assert len(machine.drivers) == 2


@pytest.mark.parametrize("runtime", ["tensorrt 10.0.1", None])
def test_an_engine_proven_under_another_tensorrt_proves_itself_here(
    bundle: Bundle, machine: Machine, runtime: str | None
) -> None:
    proof = dataclasses.replace(PROOF, runtime=runtime)
    install(bundle, proof=proof, version="10.0.1", flags=(VERSION_COMPATIBLE,))
    trust_engines(bundle.path)
    open_session(bundle, runtime="tensorrt").close()
    assert len(machine.drivers) == 2
    noted = list_engines(bundle.path)[0].receipt.proof
    assert noted is not None
    assert noted.runtime == f"tensorrt {VERSION}"


def test_an_engine_that_brings_code_is_not_run_because_its_bundle_says_so(
    bundle: Bundle, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    install(bundle, flags=(VERSION_COMPATIBLE,))
    with pytest.raises(EngineError, match=r"brings code that would run here.*--trust"):
        open_session(bundle, runtime="tensorrt")
    with caplog.at_level(logging.WARNING), open_session(bundle, threads=1) as session:
        assert session.name == "onnxruntime"
    assert "brings code" in caplog.text
    assert machine.drivers == []


def test_an_engine_that_fails_its_proof_is_refused_before_the_first_part(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(answers: dict[str, Any]) -> None:
        answers["score"] = answers["score"] + np.float32(0.1)

    machine = Machine()
    machine.install(bundle, monkeypatch, fault)
    install(bundle, proof=None)
    with pytest.raises(ParityError, match=r"does not compute what was trained on Orin: scores"):
        open_session(bundle, runtime="tensorrt")
    assert len(machine.drivers) == 1
    machine.drivers[0].assert_nothing_is_held()
    assert not list_engines(bundle.path)[0].receipt.is_verified


def test_tensorrt_without_a_gpu_says_so(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt())
    monkeypatch.setattr(opening, "read_gpu", lambda: None)
    with pytest.raises(EngineError, match="no NVIDIA GPU here; use --runtime onnxruntime"):
        open_session(bundle, runtime="tensorrt")


def test_tensorrt_that_is_not_installed_names_the_extra(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingPackageError, match=r"edgeinspect\[tensorrt\]"):
        open_session(bundle, runtime="tensorrt")


def test_auto_takes_the_next_runtime_where_half_of_tensorrt_is_installed(
    bundle: Bundle, machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert pick_runtime(bundle, None, 1) == "onnxruntime"
    assert "no engine is used: building and running engines needs the package" in caplog.text


def test_cuda_is_never_replaced_by_the_cpu_silently(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="this ONNX Runtime has no CUDA"):
        open_session(bundle, runtime="onnxruntime-cuda")
    with open_session(bundle, runtime="auto", threads=1) as session:
        assert session.name == "onnxruntime"


@pytest.mark.parametrize(("gpu", "runtime"), [(None, "onnxruntime"), (GPU, "onnxruntime-cuda")])
def test_auto_takes_cuda_only_where_there_is_a_gpu(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, gpu: Gpu | None, runtime: str
) -> None:
    monkeypatch.setattr(opening, "has_cuda", lambda: True)
    monkeypatch.setattr(opening, "read_gpu", lambda: gpu)
    assert pick_runtime(bundle, None, 1) == runtime


def test_a_cpu_may_run_the_fp16_graph_when_asked(bundle: Bundle) -> None:
    with open_session(bundle, precision=Precision.FP16, threads=1) as session:
        assert session.infer(IMAGES, TILE).score.shape == (2,)


def test_int8_is_for_the_cpu_and_auto_knows_it(tmp_path: Path, machine: Machine) -> None:
    bundle = read_bundle(make_bundle(tmp_path / "int8", has_golden=True, has_int8=True))
    with open_session(bundle, precision=Precision.INT8, threads=1) as session:
        assert session.name == "onnxruntime"
    for runtime in ("onnxruntime-cuda", "tensorrt"):
        with pytest.raises(EngineError, match=f"{runtime} has no int8; use --runtime onnxruntime"):
            open_session(bundle, runtime=runtime, precision=Precision.INT8)


def test_what_a_runtime_lacks_is_known_without_a_bundle(machine: Machine) -> None:
    check_runtime("onnxruntime")
    check_runtime("tensorrt")
    assert machine.drivers[0].is_closed
    with pytest.raises(EngineError, match="has no CUDA"):
        check_runtime("onnxruntime-cuda")
