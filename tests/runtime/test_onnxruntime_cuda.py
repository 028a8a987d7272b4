"""Sessions on ONNX Runtime's CUDA: values that stay, graphs by batch size, no silent CPU."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.errors import EngineError
from edgeinspect.runtime import onnxruntime_cuda
from edgeinspect.runtime.onnxruntime_cuda import OnnxRuntimeCudaSession
from edgeinspect.runtime.session import OUTPUTS, Scores, TimedSession, open_session
from tests.bundles import bad_picture, good_picture, make_bundle
from tests.runtime.fake_onnxruntime import FakeOnnxRuntime, FakeValue

IMAGES = np.stack([good_picture(0), bad_picture(1), good_picture(2)])
TILE = np.zeros(3, np.int32)
TOLERANCE = 1e-5  # sums of float32 are split differently in another batch


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture(scope="module")
def expected(bundle: Bundle) -> Scores:
    with open_session(bundle, runtime="onnxruntime", threads=1) as session:
        return session.infer(IMAGES, TILE)


def open_cuda(bundle: Bundle, ort: FakeOnnxRuntime, **how: int) -> OnnxRuntimeCudaSession:
    constants = bundle.require_calibration().constants
    return OnnxRuntimeCudaSession(bundle.graph_path(), constants, ort=ort, **how)


@pytest.mark.parametrize("is_replayed", [True, False])
def test_scores_are_those_of_the_graph_at_every_batch_size(
    bundle: Bundle, expected: Scores, is_replayed: bool
) -> None:
    with open_cuda(bundle, FakeOnnxRuntime(), is_replayed=is_replayed) as session:
        for n in (3, 1, 3, 1):
            scores = session.infer(IMAGES[:n], TILE[:n])
            for name in OUTPUTS:
                left, right = getattr(scores, name), getattr(expected, name)[:n]
                assert np.allclose(left, right, rtol=TOLERANCE, atol=TOLERANCE), name


def test_the_device_s_time_is_told_by_step(bundle: Bundle, expected: Scores) -> None:
    with open_cuda(bundle, FakeOnnxRuntime()) as session:
        session.infer(IMAGES, TILE)
        found = session.device_times(3, 2)
        assert isinstance(session, TimedSession)
        scores = session.infer(IMAGES, TILE)
    assert len(found) == 2
    assert all(one.compute_ms > 0 for one in found)
    assert np.allclose(scores.score, expected.score, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_session_replays_one_batch_size_and_there_are_few(bundle: Bundle) -> None:
    ort = FakeOnnxRuntime()
    images, tile = np.repeat(IMAGES, 3, axis=0), np.repeat(TILE, 3)
    with open_cuda(bundle, ort) as session:
        for n in (3, 1, 4, 3, 7, 5, 8):
            assert len(session.infer(images[:n], tile[:n]).score) == n
    assert len(ort.sessions) == 3  # of 1, 4 and 8
    assert all(one.captured for one in ort.sessions)


def test_every_size_up_to_the_batch_has_run_before_the_first_part(bundle: Bundle) -> None:
    ort = FakeOnnxRuntime()
    with open_cuda(bundle, ort, batch=3) as session:
        assert len(ort.sessions) == 3
        assert all(one.captured for one in ort.sessions)  # 1, 2 and 4
        for n in (1, 2, 3):
            session.infer(IMAGES[:n], TILE[:n])
    assert len(ort.sessions) == 3


def test_without_replaying_one_session_serves_all_sizes(bundle: Bundle) -> None:
    ort = FakeOnnxRuntime()
    with open_cuda(bundle, ort, is_replayed=False) as session:
        for n in (3, 1):
            session.infer(IMAGES[:n], TILE[:n])
    assert len(ort.sessions) == 1


def test_maps_stay_on_the_device_unless_one_is_wanted(bundle: Bundle, expected: Scores) -> None:
    level = bundle.require_calibration().threshold.value
    with open_cuda(bundle, FakeOnnxRuntime()) as session:
        good = session.infer(IMAGES[[0, 2]], TILE[:2], map_above=level)
        mixed = session.infer(IMAGES, TILE, map_above=level)
    assert (good.has_map.any(), good.anomaly_map.any()) == (False, False)
    assert mixed.has_map.all()
    assert np.allclose(mixed.anomaly_map, expected.anomaly_map, atol=TOLERANCE)


def test_products_in_tf32_are_off(bundle: Bundle) -> None:
    ort = FakeOnnxRuntime()
    open_cuda(bundle, ort).close()
    assert ort.sessions[0].options == {"use_tf32": "0", "enable_cuda_graph": "1"}


def test_cuda_libraries_of_pip_are_loaded_without_a_word(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    ort = FakeOnnxRuntime()
    open_cuda(bundle, ort).close()
    assert ort.preloaded[-1] == (True, True, None)
    assert capsys.readouterr().out == ""


def test_cuda_libraries_are_found_in_another_folder_than_onnxruntimes(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("cu13", "cudnn"):
        (tmp_path / "nvidia" / part / "lib").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    ort = FakeOnnxRuntime()
    open_cuda(bundle, ort).close()
    nvidia = tmp_path / "nvidia"
    assert (True, False, str(nvidia / "cu13" / "lib")) in ort.preloaded
    assert (False, True, str(nvidia / "cudnn" / "lib")) in ort.preloaded


def test_a_fall_back_to_the_cpu_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="could not start CUDA and fell back to the CPU"):
        open_cuda(bundle, FakeOnnxRuntime(falls_back=True))


def test_an_onnx_runtime_without_cuda_names_the_extra(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"has no CUDA; .*edgeinspect\[gpu\]"):
        open_cuda(bundle, FakeOnnxRuntime(providers=("CPUExecutionProvider",)))


def test_on_a_jetson_the_extra_is_not_named_whose_package_is_not_made_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnxruntime_cuda, "read_jetson", lambda: "Orin")
    with pytest.raises(EngineError, match=r"has no CUDA; use --runtime tensorrt$"):
        onnxruntime_cuda.require_cuda(FakeOnnxRuntime(providers=("CPUExecutionProvider",)))


@pytest.mark.parametrize("copying", ["update_inplace", "numpy"])
def test_a_copy_that_fails_is_an_engine_error(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, copying: str
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    with open_cuda(bundle, FakeOnnxRuntime()) as session:
        monkeypatch.setattr(FakeValue, copying, fail)
        with pytest.raises(EngineError, match="CUDA failure 700"):
            session.infer(IMAGES, TILE)


def test_a_gpu_without_memory_for_the_values_is_an_engine_error(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(array: np.ndarray, device: str) -> None:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 1")

    monkeypatch.setattr(FakeValue, "ortvalue_from_numpy", fail)
    with pytest.raises(EngineError, match=r"no memory .*; use a smaller --batch"):
        open_cuda(bundle, FakeOnnxRuntime())


def test_another_thread_is_refused(bundle: Bundle) -> None:
    caught: list[EngineError] = []

    def use(session: OnnxRuntimeCudaSession) -> None:
        try:
            session.infer(IMAGES, TILE)
        except EngineError as error:
            caught.append(error)

    with open_cuda(bundle, FakeOnnxRuntime()) as session:
        thread = threading.Thread(target=use, args=(session,))
        thread.start()
        thread.join()
    assert "open one session in each thread" in str(caught[0])


def test_a_closed_session_says_so(bundle: Bundle) -> None:
    session = open_cuda(bundle, FakeOnnxRuntime())
    session.close()
    with pytest.raises(EngineError, match="session is closed"):
        session.infer(IMAGES, TILE)
