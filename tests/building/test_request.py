"""What a request means on a machine, and what no machine can do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from edgeinspect.building import request as module
from edgeinspect.building.request import BuildRequest, Job, default_workspace_mib, plan_job
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision
from edgeinspect.errors import BundleError, EngineError, MissingPackageError
from edgeinspect.gpu import Gpu
from edgeinspect.tensorrt_adapter import Flavour, TensorRT
from edgeinspect.tensorrt_adapter import flavours as adapter
from tests.building.fake_tensorrt import Behaviour, fake_tensorrt
from tests.building.machines import H100, ORIN, RTX_3060
from tests.bundles import make_bundle

FP32 = BuildRequest(precision=Precision.FP32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("request"), calibrated=False))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Flavour]:
    """Both flavours, until a test takes one away."""
    flavours = [Flavour.TENSORRT, Flavour.RTX]
    rtx = ModuleType("tensorrt_rtx")
    members = dict.fromkeys(("NONE", "CURRENT", "SM75", "SM86", "SM120"))
    vars(rtx).update(__version__="1.7.1", ComputeCapability=SimpleNamespace(__members__=members))
    found = {
        Flavour.TENSORRT: fake_tensorrt(Behaviour()),
        Flavour.RTX: TensorRT(flavour=Flavour.RTX, module=rtx),
    }

    def find(runtime: str) -> TensorRT:
        return found[flavours[0] if runtime == "auto" else Flavour(runtime)]

    monkeypatch.setattr(module, "find_tensorrt", find)
    monkeypatch.setattr(module, "installed_flavours", lambda: tuple(flavours))
    return flavours


def _job(bundle: Bundle, gpu: Gpu | None, **changes: object) -> Job:
    return plan_job(replace(FP32, **changes), bundle, gpu)


def test_tensorrt_builds_for_the_gpu_at_hand(bundle, installed):
    job = _job(bundle, ORIN)
    assert (job.key.flavour, job.key.target) == ("tensorrt", "sm87")
    assert job.runs_here


def test_auto_takes_rtx_for_a_gpu_that_is_not_here(bundle, installed):
    job = _job(bundle, ORIN, target="sm86")
    assert (job.key.flavour, job.key.target) == ("tensorrt-rtx", "sm86")
    assert not job.runs_here


def test_auto_takes_rtx_where_there_is_no_gpu(bundle, installed):
    assert _job(bundle, None, target="sm120").key.flavour == "tensorrt-rtx"


def test_an_open_target_runs_on_the_gpu_at_hand(bundle, installed):
    newer = replace(RTX_3060, compute_capability="12.2")
    for gpu in (RTX_3060, newer):
        assert _job(bundle, gpu, runtime="tensorrt-rtx", target="open").runs_here


def test_a_gpu_that_rtx_leaves_out_is_built_for_by_nobody_here(bundle, installed):
    """As TensorRT-RTX 1.7.1 said on an H100: it loads no engine at all there."""
    assert not _job(bundle, H100, runtime="tensorrt-rtx", target="open").runs_here


def test_no_gpu_and_no_target_names_the_targets(bundle, installed):
    with pytest.raises(EngineError, match=r"no GPU here, and no --target; .*sm75, sm86, sm120"):
        _job(bundle, None)


def test_no_gpu_for_tensorrt_says_where_to_build(bundle, installed):
    with pytest.raises(EngineError, match="builds on the GPU that it builds for; build on the box"):
        _job(bundle, None, runtime="tensorrt")


def test_tensorrt_refuses_another_target(bundle, installed):
    with pytest.raises(EngineError, match="builds for the GPU here, sm87, not for sm86"):
        _job(bundle, ORIN, runtime="tensorrt", target="sm86")


def test_a_target_that_rtx_does_not_know_is_refused_with_those_it_does(bundle, installed):
    with pytest.raises(EngineError, match=r"does not build for sm99; use --target sm75, sm86"):
        _job(bundle, None, target="sm99")


def test_a_gpu_that_rtx_has_no_target_for_is_told_apart(bundle, installed):
    with pytest.raises(EngineError, match=r"no target for this GPU, NVIDIA H100 \(sm90\); use --r"):
        _job(bundle, H100, runtime="tensorrt-rtx")
    newer = replace(RTX_3060, compute_capability="12.2")
    with pytest.raises(EngineError, match=r"\(sm122\); use --target open"):
        _job(bundle, newer, runtime="tensorrt-rtx")


def test_fp32_for_turing_is_refused(bundle, installed):
    with pytest.raises(EngineError, match="no matrix products in FP32 for sm75"):
        _job(bundle, None, target="sm75")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"is_version_compatible": True}, "leave out --version-compatible"),
        ({"timing_cache": Path("cache")}, "leave out --timing-cache"),
    ],
)
def test_what_rtx_does_not_have_is_refused(bundle, installed, change, words):
    with pytest.raises(EngineError, match=words):
        _job(bundle, None, target="sm86", **change)


def test_a_bundle_without_that_graph_is_refused(bundle, installed):
    with pytest.raises(BundleError, match=r"holds no graph_fp16\.onnx"):
        _job(bundle, ORIN, precision=Precision.FP16)


def test_flags_and_batch_are_part_of_the_key(bundle, installed):
    key = _job(bundle, ORIN, is_version_compatible=True).key
    assert key.flags == ("version-compatible",)
    assert key.fingerprint != _job(bundle, ORIN).key.fingerprint


def test_the_workspace_is_not_part_of_the_key(bundle, installed):
    small = _job(bundle, ORIN, workspace_mib=64)
    assert small.workspace_mib == 64
    assert small.key == _job(bundle, ORIN).key


def test_a_card_gives_a_layer_up_to_half_of_its_memory():
    assert default_workspace_mib(RTX_3060) == 4096
    assert default_workspace_mib(replace(RTX_3060, memory_bytes=2 << 30)) == 1024


@pytest.mark.parametrize(("free_kib", "expected"), [(6 << 20, 1024), (2 << 20, 512), (100, 256)])
def test_a_jetson_gives_a_layer_a_quarter_of_what_is_free(tmp_path, free_kib, expected):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemAvailable: {free_kib} kB\n")
    assert default_workspace_mib(ORIN, tmp_path) == expected


def test_a_flavour_that_is_not_installed_names_its_extra():
    with pytest.raises(MissingPackageError, match=r'pip install "edgeinspect\[tensorrt\]"'):
        adapter.find_tensorrt("tensorrt")


def test_a_runtime_without_engines_is_refused():
    with pytest.raises(EngineError, match="'onnxruntime' has no engines; use auto, tensorrt or"):
        adapter.find_tensorrt("onnxruntime")


def test_a_jetson_without_tensorrt_names_jetpacks_package(monkeypatch):
    monkeypatch.setattr(adapter, "read_jetson", lambda: "Orin")
    with pytest.raises(EngineError, match=r"nvidia-jetpack.*--system-site-packages"):
        adapter.find_tensorrt("tensorrt")


def test_a_jetson_is_not_sent_to_the_tensorrt_of_rtx_cards(monkeypatch):
    monkeypatch.setattr(adapter, "read_jetson", lambda: "Orin")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(EngineError, match=r"not for Jetsons; use --runtime tensorrt$"):
        adapter.find_tensorrt("tensorrt-rtx")


def test_libraries_that_cannot_be_loaded_are_told(monkeypatch):
    def fail(name: str) -> None:
        raise ImportError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr(adapter.importlib, "import_module", fail)
    with pytest.raises(EngineError, match=r"installed, but cannot be loaded: libnvinfer\.so\.10"):
        adapter.find_tensorrt("tensorrt")
