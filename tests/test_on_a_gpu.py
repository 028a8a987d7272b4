"""On a real GPU: what stand-ins for drivers and runtimes cannot show.

    pytest -m gpu -W default

Each test says what it lacks. Runtimes are held to the budgets of `verify`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.gpu.step import round_trip
from edgeinspect.bench.nvml import open_nvml
from edgeinspect.building import BuildRequest, build_engine
from edgeinspect.bundle import read_bundle
from edgeinspect.config import Precision
from edgeinspect.engines import BatchRange
from edgeinspect.errors import EngineError, MissingPackageError
from edgeinspect.gpu import read_gpu
from edgeinspect.parity import Golden
from edgeinspect.runtime.onnxruntime_graph import has_cuda
from edgeinspect.runtime.opening import check_runtime
from edgeinspect.runtime.session import open_session
from edgeinspect.verification import verify_bundle
from tests.training.settings import feature_config, small_config, write_good

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(read_gpu() is None, reason="needs an NVIDIA GPU"),
]
N_BATCHES = 100  # of 1 to 5 images: each size comes back, and its graph is replayed


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good(tmp_path_factory.mktemp("data") / "good", n=16)


@pytest.fixture(scope="module", params=["pixels", "features"])
def bundle(request, good, backbone_file, tmp_path_factory) -> Path:
    """Trained on the GPU for two steps, and exported."""
    from edgeinspect.export.bundling import export_run
    from edgeinspect.training.planning import Duration
    from edgeinspect.training.train import train

    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "pixels":
        config, words = small_config(), {}
    else:
        config = feature_config("features", feature_memory="50")
        words = {"backbone_weights": str(backbone_file)}
    state = train(good, folder / "run", config, Duration(steps=2), device="cuda", **words)
    assert state.step == 2
    export_run(folder / "run", folder / "part.bundle")
    return folder / "part.bundle"


@pytest.mark.parametrize("provider", ["cuda-python", "pycuda"])
def test_bytes_go_to_the_device_and_back_in_a_graph_where_the_binding_records(provider):
    found = round_trip(provider)
    if "needs the package" in found.get("why", ""):
        pytest.skip(found["why"])
    assert found["is_equal"], found
    assert found["is_recorded"] == (provider == "cuda-python")


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_onnxruntime_on_cuda_computes_what_pytorch_does(bundle, precision):
    if not has_cuda():
        pytest.skip("needs onnxruntime-gpu")
    found = verify_bundle(read_bundle(bundle), runtime="onnxruntime-cuda", precision=precision)
    assert found.problems == ()


@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt-rtx"])
def test_an_engine_is_built_proved_and_agrees_at_every_batch(bundle, flavour):
    try:
        check_runtime(flavour)
    except (EngineError, MissingPackageError) as error:
        pytest.skip(str(error))  # what it lacks: the package, or a GPU that it runs on
    request = BuildRequest(
        runtime=flavour,
        precision=Precision.FP16,
        batch=BatchRange(smallest=1, tuned=2, largest=5),
        target="open" if flavour == "tensorrt-rtx" else None,
    )
    engine = build_engine(bundle, request).engine
    assert engine.receipt.is_verified
    _check_batches(bundle, flavour)


def test_replayed_graphs_of_onnxruntime_agree_at_every_batch(bundle):
    if not has_cuda():
        pytest.skip("needs onnxruntime-gpu")
    _check_batches(bundle, "onnxruntime-cuda")


def _check_batches(path: Path, runtime: str) -> None:
    """Scores of a picture do not depend on the batch, the call, or what ran before."""
    bundle = read_bundle(path)
    size = bundle.config.generator.size
    images = np.random.default_rng(0).integers(0, 256, (5, size, size, 3), dtype=np.uint8)
    constants = Golden.load(bundle.golden_path).constants
    with open_session(
        bundle, runtime=runtime, precision=Precision.FP16, batch=5, constants=constants
    ) as session:
        alone = [session.infer(images[i : i + 1], np.zeros(1, np.int32)) for i in range(5)]
        for n in np.random.default_rng(1).integers(1, 6, N_BATCHES):
            found = session.infer(images[:n], np.zeros(n, np.int32))
            for i in range(n):
                np.testing.assert_allclose(found.score[i], alone[i].score[0], rtol=2e-2, atol=2e-2)
                assert np.isfinite(found.anomaly_map[i]).all()


def test_a_wrong_batch_is_refused_and_the_session_goes_on(bundle):
    if not has_cuda():
        pytest.skip("needs onnxruntime-gpu")
    opened = read_bundle(bundle)
    constants = Golden.load(opened.golden_path).constants
    with open_session(
        opened, runtime="onnxruntime-cuda", precision=Precision.FP16, constants=constants
    ) as session:
        size = opened.config.generator.size
        with pytest.raises(EngineError):
            session.infer(np.zeros((1, size, size + 1, 3), np.uint8), np.zeros(1, np.int32))
        scores = session.infer(np.zeros((1, size, size, 3), np.uint8), np.zeros(1, np.int32))
    assert np.isfinite(scores.score).all()


def test_all_three_losses_move_on_the_gpu(good, tmp_path):
    from edgeinspect.training.planning import Duration
    from edgeinspect.training.train import resume, train

    seen = []
    train(
        good, tmp_path / "run", small_config(), Duration(steps=3), device="cuda",
        on_step=seen.append,
    )  # fmt: skip
    assert [one.step for one in seen] == [1, 2, 3]
    assert np.isfinite([one.loss for one in seen]).all()
    assert resume(tmp_path / "run", device="cuda").step == 3


def test_nvml_tells_clock_temperature_and_energy():
    with open_nvml() as nvml:
        if nvml is None:
            pytest.skip("needs NVML")
        state, before = nvml.state(), nvml.energy_joules()
    assert state.clock_mhz is not None
    assert 5 < state.temperature_c < 110
    assert before is None or before > 0
