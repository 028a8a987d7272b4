from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Rule, ScoringConfig
from edgeinspect.constants import RuleConstants, one_hot
from edgeinspect.errors import EngineError, NotCalibratedError
from edgeinspect.report.demo import PACKAGED_BUNDLE
from edgeinspect.runtime import onnxruntime_session
from edgeinspect.runtime.onnxruntime_graph import OnnxGraph
from edgeinspect.runtime.session import Scores, check_threads, open_maps, open_session
from tests.bundles import good_picture, make_bundle

IMAGES = np.stack([good_picture(seed) for seed in range(3)])
TILE = np.zeros(3, np.int32)
N_STATISTICS = ScoringConfig().n_statistics(n_scales=3)
BATCH_TOLERANCE = 1e-5  # sums of float32 are split differently in another batch


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


def neutral(bundle: Bundle, **changes: int) -> RuleConstants:
    shape = {"n_measures": 3, "n_scales": 3, "size": 64, "n_statistics": N_STATISTICS, **changes}
    return RuleConstants.neutral(**shape)


def test_scores_have_the_promised_shapes_and_dtypes(bundle):
    with open_session(bundle, threads=1) as session:
        scores = session.infer(IMAGES, TILE)
    for name in ("score", "local_score", "global_score"):
        assert getattr(scores, name).shape == (3,)
        assert getattr(scores, name).dtype == np.float32
    assert scores.scale.dtype == np.int32
    assert scores.anomaly_map.shape == (3, 64, 64)
    assert scores.statistics.shape == (3, N_STATISTICS)


def test_a_batch_scores_as_its_images_do_alone(bundle):
    with open_session(bundle, threads=1) as session:
        together = session.infer(IMAGES, TILE)
        alone = Scores.join([session.infer(IMAGES[i : i + 1], TILE[i : i + 1]) for i in range(3)])
    assert together.score == pytest.approx(alone.score, rel=BATCH_TOLERANCE)
    assert np.allclose(together.anomaly_map, alone.anomaly_map, atol=BATCH_TOLERANCE)


def test_scores_split_and_joined_are_the_same(bundle):
    with open_session(bundle, threads=1) as session:
        scores = session.infer(IMAGES, TILE)
    again = Scores.join(scores.split([1, 2]))
    assert np.array_equal(again.statistics, scores.statistics)


@pytest.mark.parametrize("rule", [Rule.PEAK, Rule.MAHALANOBIS])
def test_the_constants_bound_at_the_start_choose_the_score(bundle, rule):
    constants = bundle.require_calibration().constants
    inputs = {**constants.as_inputs(), "rule": one_hot(rule)}
    with open_session(bundle, threads=1, constants=RuleConstants(**inputs)) as session:
        scores = session.infer(IMAGES, TILE)
    wanted = scores.local_score if rule is Rule.PEAK else scores.global_score
    assert np.array_equal(scores.score, wanted)


def test_each_image_meets_the_maps_of_its_own_tile_position(bundle):
    inputs = neutral(bundle, n_tiles=2).as_inputs()
    inputs["map_mean"][1] = 5.0
    with open_session(bundle, threads=1, constants=RuleConstants(**inputs)) as session:
        scores = session.infer(IMAGES[[0, 0]], np.array([0, 1], np.int32))
    difference = scores.anomaly_map[0].mean() - scores.anomaly_map[1].mean()
    assert difference == pytest.approx(5.0, abs=0.1)


def test_error_maps_and_reconstructions_belong_together(bundle):
    with open_maps(bundle, threads=1) as session:
        maps, reconstructions = session.reconstruct(IMAGES)
        assert np.array_equal(session.error_maps(IMAGES), maps)
    assert maps.shape == (3, 3, 3, 64, 64)
    assert reconstructions.shape == (3, 3, 64, 64, 3)
    error = np.abs(IMAGES / 255 - reconstructions[:, 0])[..., 0]
    assert np.allclose(maps[:, 0, 0], error, atol=1e-5)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 32, 64, 3), np.uint8),
        np.zeros((1, 64, 64), np.uint8),
        np.zeros((0, 64, 64, 3), np.uint8),
        np.zeros((1, 64, 64, 3), np.float32),
    ],
    ids=["size", "grey", "none", "float"],
)
def test_images_that_do_not_fit_the_graph_are_refused_with_both_shapes(bundle, images):
    with (
        open_session(bundle, threads=1) as session,
        pytest.raises(EngineError, match=r"the graph takes uint8 \(B, 64, 64, 3\)"),
    ):
        session.infer(images, np.zeros(len(images), np.int32))


@pytest.mark.parametrize("tile", [[1], [-1], [0, 0]])
def test_a_tile_position_that_is_not_known_is_refused(bundle, tile):
    with open_session(bundle, threads=1) as session, pytest.raises(EngineError, match="tile is"):
        session.infer(IMAGES[:1], np.array(tile, np.int32))


@pytest.mark.parametrize(
    "change", [{"size": 32}, {"n_scales": 2}, {"n_statistics": N_STATISTICS - 1}]
)
def test_constants_that_do_not_fit_the_graph_are_named_at_the_start(bundle, change):
    with pytest.raises(EngineError, match=r"the constant \w+ is float32 .* takes"):
        open_session(bundle, threads=1, constants=neutral(bundle, **change))


def test_a_closed_session_says_so_and_binds_nothing(bundle):
    session = open_session(bundle, threads=1)
    session.close()
    session._binding = None  # in ONNX Runtime 1.23 it would take the process with it
    with pytest.raises(EngineError, match="session is closed"):
        session.infer(IMAGES, TILE)


def test_a_bundle_without_calibration_cannot_be_scored(tmp_path):
    bundle = read_bundle(make_bundle(tmp_path, calibrated=False))
    with pytest.raises(NotCalibratedError, match="edgeinspect calibrate"):
        open_session(bundle)
    with open_session(bundle, threads=1, constants=neutral(bundle)) as session:
        assert session.infer(IMAGES, TILE).score.shape == (3,)


def test_an_unknown_runtime_lists_the_known_ones(bundle):
    with pytest.raises(EngineError, match="auto, onnxruntime, onnxruntime-cuda"):
        open_session(bundle, runtime="cuda")


@pytest.mark.parametrize("threads", [0, 100_000])
def test_threads_that_no_machine_has_are_refused(threads):
    with pytest.raises(EngineError, match=f"threads is {threads}: it must lie in 1 to 1024"):
        check_threads(threads)


def test_a_graph_of_another_kind_is_refused(bundle, tmp_path):
    other = onnx.load(str(bundle.maps_path))
    path = Path(tmp_path) / "graph_fp32.onnx"
    onnx.save_model(other, str(path))
    with pytest.raises(EngineError, match="it lacks tile, map_mean"):
        onnxruntime_session.OnnxRuntimeSession(path, neutral(bundle), threads=1)


def test_a_file_that_is_no_graph_is_named(bundle, tmp_path):
    path = tmp_path / "graph_fp32.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"cannot open .*graph_fp32\.onnx"):
        onnxruntime_session.OnnxRuntimeSession(path, neutral(bundle), threads=1)


def test_what_fails_in_onnx_runtime_is_said_in_our_words_alone(bundle, capfd):
    graph = OnnxGraph(bundle.graph_path(), threads=1)
    binding = graph.binding()
    inputs = {"image": IMAGES, "tile": TILE + 9, **neutral(bundle).as_inputs()}
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    with pytest.raises(EngineError, match=r"onnxruntime failed on graph_fp32\.onnx: "):
        graph.outputs_of(binding, ["score"])
    assert capfd.readouterr().err == ""


def test_a_call_without_memory_asks_for_a_smaller_batch(bundle):
    class Full:
        def run_with_iobinding(self, binding):
            raise RuntimeError("Failed to allocate memory for requested buffer of size 147456000")

    graph = OnnxGraph(bundle.graph_path(), threads=1)
    graph._session = Full()
    with pytest.raises(EngineError, match=r"finds no memory .*; use a smaller --batch"):
        graph.run(None)


@pytest.mark.parametrize("is_older", [False, True])
def test_a_bundle_copied_over_the_one_in_use_does_not_change_what_runs(
    tmp_path, monkeypatch, is_older
):
    if is_older:  # ONNX Runtime 1.23
        by_memory = "add_external_initializers_from_files_in_memory"
        monkeypatch.delattr(onnxruntime.SessionOptions, by_memory)
    bundle = read_bundle(Path(shutil.copytree(PACKAGED_BUNDLE, tmp_path / "part.bundle")))
    images = np.stack([good_picture(0, (256, 256))])
    with open_session(bundle, threads=1) as session:
        before = session.infer(images, TILE[:1]).score
        weights = bundle.path / "weights_fp32.bin"
        weights.write_bytes(bytes(weights.stat().st_size))
        assert np.array_equal(session.infer(images, TILE[:1]).score, before)
