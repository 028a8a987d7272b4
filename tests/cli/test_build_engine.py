"""`build-engine` as people type it, with NVIDIA's own builder (TensorRT-RTX needs no GPU)."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgeinspect.engines import list_engines
from tests.bundles import make_bundle

pytestmark = [
    pytest.mark.tensorrt,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed"
    ),
]
FOR_SM86 = ("--runtime", "tensorrt-rtx", "--precision", "fp32", "--target", "sm86")
TORCH = "import sys; {}; print([m for m in sys.modules if m.split('.')[0] in ('torch', 'onnx')])"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path)


def _edgeinspect(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeinspect", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_engine_for_a_gpu_that_is_not_here_is_built_and_marked_unverified(bundle):
    done = _edgeinspect("build-engine", bundle, *FOR_SM86)
    assert done.returncode == 0, done.stderr
    (engine,) = list_engines(bundle)
    assert not engine.receipt.is_verified
    assert len(engine.read_plan()) > 10_000
    assert str(engine.plan_path) in done.stdout
    assert "not verified: its first session on a GPU of sm86 does that" in done.stdout
    assert "building for sm86 with tensorrt-rtx" in done.stderr


def test_machines_read_the_receipt_as_json(bundle):
    first = json.loads(_edgeinspect("build-engine", bundle, *FOR_SM86, "--json").stdout)
    again = json.loads(_edgeinspect("build-engine", bundle, *FOR_SM86, "--json").stdout)
    assert (first["was_there"], again["was_there"]) == (False, True)
    assert again["plan_sha256"] == first["plan_sha256"]
    assert first["key"]["target"] == "sm86"
    assert first["layers"]["n_fp32"] > 0


def test_a_graph_that_tensorrt_refuses_ends_with_one_line(bundle):
    graph = bundle / "graph_fp32.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"ReduceMax", b"ReduceMix"))
    _accept_changes(bundle)
    done = _edgeinspect("build-engine", bundle, *FOR_SM86)
    assert done.returncode == 2
    assert "ReduceMix" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list_engines(bundle) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--target", "sm99"), "does not build for sm99"),
        (("--target", "sm75"), "no matrix products in FP32 for sm75"),
        (("--precision", "fp8"), "precision is 'fp8'; use fp32, fp16 or int8"),
        (("--precision", "int8"), "there are no engines in int8"),
        (("--batch", "8,1"), "SMALLEST,TUNED,LARGEST"),
        (("--runtime", "onnxruntime"), "'onnxruntime' has no engines"),
    ],
)
def test_bad_options_end_with_one_line(bundle, words, expected):
    done = _edgeinspect("build-engine", bundle, *FOR_SM86, *words)
    assert done.returncode == 2
    assert expected in done.stderr
    assert not (bundle / "engines").exists()


def test_building_holds_neither_torch_nor_onnx(bundle):
    words = ["edgeinspect", "build-engine", str(bundle), *FOR_SM86]
    run = f"from edgeinspect.cli.main import main; import atexit; sys.argv = {words!r}"
    code = TORCH.format(run).replace("; print", "\ntry: main()\nexcept SystemExit: pass\nprint")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(list_engines(bundle)) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from edgeinspect.building import BuildRequest, build_engine
from edgeinspect.config import Precision
request = BuildRequest(runtime="tensorrt-rtx", target="sm86", precision=Precision.FP32)
kill = lambda phase, done, total: phase == "parsing" or os.kill(os.getpid(), signal.SIGKILL)
build_engine(Path(sys.argv[1]), request, on_progress=kill, find_gpu=lambda: None)
"""


def test_a_build_that_is_killed_leaves_nothing_and_does_not_block_the_next(bundle):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(bundle)], check=False)
    assert killed.returncode == -9
    assert [p.name for p in (bundle / "engines").iterdir()] == [".build.lock"]
    assert _edgeinspect("build-engine", bundle, *FOR_SM86).returncode == 0


def _accept_changes(bundle: Path) -> None:
    """Write the hashes that the bundle's files now have into its manifest."""
    import hashlib

    manifest = bundle / "manifest.json"
    plain = json.loads(manifest.read_text())
    for name in plain["files"]:
        plain["files"][name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    manifest.write_text(json.dumps(plain))
