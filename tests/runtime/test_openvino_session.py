"""Sessions on OpenVINO against those of ONNX Runtime, on stand-in graphs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision
from edgeinspect.constants import RuleConstants, neutral_constants
from edgeinspect.errors import EngineError, MissingPackageError
from edgeinspect.parity import FP32_BUDGET, Golden
from edgeinspect.report.demo import PACKAGED_BUNDLE
from edgeinspect.runtime.opening import check_runtime, pick_precision
from edgeinspect.runtime.openvino_session import OpenVinoSession
from edgeinspect.runtime.proof import prove
from edgeinspect.runtime.session import OUTPUTS, Scores, open_session
from edgeinspect.runtime.signal_stack import alternate_stack_bytes
from tests.bundles import bad_picture, good_picture, make_bundle

IMAGES = np.stack([good_picture(0), bad_picture(1), good_picture(2), bad_picture(3)])
TILE = np.zeros(4, np.int32)
ROUNDING = 1e-5  # sums of float32 in another order


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle"), has_golden=True))


def assert_same(found: Scores, wanted: Scores) -> None:
    for name in OUTPUTS:
        one, other = getattr(found, name), getattr(wanted, name)
        assert one.dtype == other.dtype, name
        assert np.allclose(one, other, rtol=ROUNDING, atol=ROUNDING), name


@pytest.mark.parametrize("batch", [1, 3, 4, 8])
def test_scores_are_those_of_onnxruntime_in_batches_of_any_size(bundle: Bundle, batch: int) -> None:
    how = {"threads": 1, "constants": neutral_constants(bundle.config)}
    with open_session(bundle, runtime="onnxruntime", **how) as session:
        wanted = session.infer(IMAGES, TILE)
    with open_session(bundle, runtime="openvino", batch=batch, **how) as session:
        assert session.name == "openvino"
        assert_same(session.infer(IMAGES, TILE), wanted)


def test_answers_of_one_call_outlast_the_next(bundle: Bundle) -> None:
    with open_session(bundle, runtime="openvino", threads=1) as session:
        first = session.infer(IMAGES[:1], TILE[:1])
        score, peak = first.score.copy(), first.anomaly_map.max()
        session.infer(IMAGES[1:2], TILE[:1])
        assert np.array_equal(first.score, score)
        assert first.anomaly_map.max() == peak


def test_it_proves_itself_on_the_golden_images_within_the_fp32_budget(bundle: Bundle) -> None:
    golden = Golden.load(bundle.golden_path)
    with open_session(bundle, runtime="openvino", threads=1, constants=golden.constants) as session:
        report = prove(session, golden, Precision.FP32)
    assert report.is_within, report.problems
    assert report.score_error <= FP32_BUDGET.score_error


def test_each_image_meets_the_maps_of_its_own_tile_position(bundle: Bundle) -> None:
    inputs = neutral_constants(bundle.config, n_tiles=2).as_inputs()
    inputs["map_mean"][1] = 5.0
    constants = RuleConstants(**inputs)
    with open_session(
        bundle, runtime="openvino", batch=2, threads=1, constants=constants
    ) as session:
        maps = session.infer(IMAGES[[0, 0]], np.array([0, 1], np.int32)).anomaly_map
    assert maps[0].mean() - maps[1].mean() == pytest.approx(5.0, abs=0.1)


def test_it_computes_in_fp32_where_the_cpu_has_bfloat16(bundle: Bundle) -> None:
    with OpenVinoSession(
        bundle.graph_path(Precision.FP32), neutral_constants(bundle.config), threads=1
    ) as session:
        compiled = session._requests[1].get_compiled_model()
        assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_its_precision_is_fp32_unless_asked_for(bundle: Bundle) -> None:
    assert pick_precision(bundle, "openvino", None) is Precision.FP32
    with open_session(bundle, runtime="openvino", precision=Precision.FP16, threads=1) as session:
        assert session.infer(IMAGES, TILE).score.shape == (4,)


def test_python_handles_signals_on_a_stack_that_is_large_enough(bundle: Bundle) -> None:
    with open_session(bundle, runtime="openvino", constants=neutral_constants(bundle.config)):
        assert alternate_stack_bytes() == 0


def test_a_bundle_copied_over_the_one_in_use_does_not_change_what_runs(tmp_path: Path) -> None:
    bundle = read_bundle(Path(shutil.copytree(PACKAGED_BUNDLE, tmp_path / "part.bundle")))
    images = np.stack([good_picture(0, (256, 256))])
    with open_session(bundle, runtime="openvino", threads=1) as session:
        before = session.infer(images, TILE[:1]).score
        weights = bundle.path / "weights_fp32.bin"
        weights.write_bytes(bytes(weights.stat().st_size))
        assert np.array_equal(session.infer(images, TILE[:1]).score, before)


def test_auto_does_not_pick_it(bundle: Bundle) -> None:
    check_runtime("openvino")
    with open_session(bundle, threads=1) as session:
        assert session.name == "onnxruntime"


def test_without_the_package_its_extra_is_named(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingPackageError, match=r'pip install "edgeinspect\[openvino\]"'):
        check_runtime("openvino")
    with pytest.raises(MissingPackageError, match="--runtime openvino needs the package"):
        open_session(bundle, runtime="openvino")


def test_a_file_that_is_no_graph_is_named(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "graph_fp32.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"openvino cannot open .*graph_fp32\.onnx: \S+"):
        OpenVinoSession(path, neutral_constants(bundle.config), threads=1)


def test_an_operator_that_it_lacks_is_named(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "graph_fp32.onnx"
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    node = helper.make_node("Unheard", ["x"], ["y"], domain="of")
    graph = helper.make_graph([node], "graph", value[:1], value[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("of", 1)]
    onnx.save_model(helper.make_model(graph, opset_imports=opsets), str(path))
    with pytest.raises(EngineError, match=r"cannot open .*: .*of\.Unheard"):
        OpenVinoSession(path, neutral_constants(bundle.config), threads=1)


def test_a_graph_of_another_kind_is_refused(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="it lacks tile, map_mean"):
        OpenVinoSession(bundle.maps_path, neutral_constants(bundle.config), threads=1)


def test_constants_that_do_not_fit_the_graph_are_named(bundle: Bundle) -> None:
    constants = RuleConstants.neutral(n_measures=3, n_scales=2, size=64, n_statistics=27)
    with pytest.raises(EngineError, match=r"the constant \w+ is float32 .* takes float"):
        OpenVinoSession(bundle.graph_path(Precision.FP32), constants, threads=1)


def test_images_that_do_not_fit_are_refused_as_everywhere(bundle: Bundle) -> None:
    with open_session(bundle, runtime="openvino", threads=1) as session:
        with pytest.raises(EngineError, match=r"the graph takes uint8 \(B, 64, 64, 3\)"):
            session.infer(IMAGES[:, :32], TILE)
        with pytest.raises(EngineError, match="tile is"):
            session.infer(IMAGES[:1], np.array([1], np.int32))


def test_a_closed_session_says_so(bundle: Bundle) -> None:
    session = open_session(bundle, runtime="openvino", threads=1)
    session.close()
    with pytest.raises(EngineError, match="session is closed"):
        session.infer(IMAGES, TILE)


def test_no_threads_at_all_are_refused(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="threads is 0"):
        open_session(bundle, runtime="openvino", threads=0)
