"""INT8 graphs of small bundles with real generators: kept where faster and close, or nothing."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgeinspect.bundle import install_calibration, read_bundle
from edgeinspect.calibration import int8
from edgeinspect.calibration.int8 import Int8Result, Race, Speedup, add_int8
from edgeinspect.calibration.int8_parts import Choice, Trial
from edgeinspect.calibration.int8_pictures import load_int8_pictures
from edgeinspect.config import (
    GeneratorConfig,
    LossConfig,
    Normalisation,
    Precision,
    PreprocessConfig,
    Rule,
    RunConfig,
    Target,
)
from edgeinspect.data.images import save_picture
from edgeinspect.errors import BundleError, CalibrationError, MissingPackageError
from edgeinspect.export.bundling import write_bundle
from edgeinspect.model.generator import Generator
from edgeinspect.parity import ParityReport
from edgeinspect.runtime.session import open_session
from edgeinspect.verification import verify_bundle
from tests.backbones import BACKBONE
from tests.bundles import bad_picture, calibrate_stand_in, good_picture, make_bundle
from tests.planted_faults import swap_colours

SIZE = 64
UNEVEN = 1e4  # a channel so large that 8 bits leave nothing to the others
IMAGES = np.stack([good_picture(5), bad_picture(6), good_picture(7)])
TILE = np.zeros(len(IMAGES), np.int32)


def config_of(target: Target) -> RunConfig:
    generator = GeneratorConfig(
        size=SIZE, patch=8, mask_scales=(1, 2), width=64, depth=2, decoder_depth=1,
        target=target, backbone=BACKBONE, feature_strides=(8, 16),
    )  # fmt: skip
    return RunConfig(
        preset="nano",
        generator=generator,
        preprocess=PreprocessConfig(size=SIZE),
        losses=LossConfig(adversarial=0.0, latent=0.0),
    )


def make_generator(config: RunConfig) -> Generator:
    torch.manual_seed(0)
    generator = Generator(config.generator).eval()
    if config.generator.target.has_pixels:
        torch.nn.init.normal_(generator.head.weight, std=0.02)
    if config.generator.target.has_features:
        torch.nn.init.normal_(generator.feature_head.weight, std=0.02)
        good, others = torch.rand(8, 3, SIZE, SIZE), torch.rand(4, 3, SIZE, SIZE)
        generator.targets.fit(good.split(4), [others], n_images=8)
    return generator


def make_uneven(generator: Generator) -> None:
    """Plant a channel that FP32 does not mind: its norm is large, and its weights are small."""
    block = generator.encoder.blocks[1]
    with torch.no_grad():
        block.norm_mlp.weight[0] *= UNEVEN
        block.norm_mlp.bias[0] *= UNEVEN
        block.mlp.fc1.weight[:, 0] /= UNEVEN


def make(
    folder: Path, target: Target, plant: Callable[[Generator], None] = lambda generator: None
) -> Path:
    config = config_of(target)
    generator = make_generator(config)
    plant(generator)
    path = folder / "part.bundle"
    write_bundle(generator, config, path)
    install_calibration(
        read_bundle(path), calibrate_stand_in(path, Rule.PEAK, Normalisation.BLOCK, 1)
    )
    return path


def save_good(folder: Path) -> list[Path]:
    paths = [folder / f"{i}.png" for i in range(10)]
    for i, path in enumerate(paths):
        save_picture(path, good_picture(i))
    return paths


@pytest.fixture(scope="module", params=[Target.PIXELS, Target.FEATURES], ids=lambda t: t.value)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp(request.param.value), request.param)


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("pixels"), Target.PIXELS)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return save_good(tmp_path_factory.mktemp("good"))


@pytest.fixture
def bundle(pixels: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(pixels, tmp_path / "part.bundle"))


def measured(value: float, low: float | None = None) -> Race:
    """A machine on which INT8 is so many times as fast."""
    speedup = Speedup(value=value, low=value if low is None else low, high=value)

    def race(fp32: Callable[[], object], int8: Callable[[], object]) -> Speedup:
        fp32()
        int8()
        return speedup

    return race


def add(bundle: Path, good: list[Path], race: Race | None = None) -> Int8Result:
    return add_int8(bundle, good, race=race or measured(2.0), threads=1)


def files(bundle: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in bundle.iterdir() if p.name != ".lock"}


def scores(bundle: Path, precision: Precision, n: int = len(IMAGES)) -> np.ndarray:
    with open_session(read_bundle(bundle), precision=precision, threads=1) as session:
        return session.infer(IMAGES[:n], TILE[:n]).score


def test_a_graph_is_sound_and_close_and_the_manifest_says_what_it_is(
    made: Path, good: list[Path], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(made, tmp_path / "part.bundle"))
    result = add(path, good)
    assert result.why_not is None
    assert any("encoder" in part for part in result.parts)
    bundle = read_bundle(path)
    onnx.checker.check_model(str(bundle.graph_path(Precision.INT8)), full_check=True)
    assert verify_bundle(bundle, precision=Precision.INT8, threads=1).is_within
    record = bundle.manifest.provenance["int8"]
    assert record["parts"] == list(result.parts)
    assert record["parity"]["score_error"] <= 0.01
    assert record["pictures"]["ranges"]["n"] + record["pictures"]["proof"]["n"] == len(good)
    json.dumps(result.plain())


def test_products_of_tokens_are_int8_and_of_attention_are_not(
    bundle: Path, good: list[Path]
) -> None:
    add(bundle, good)
    model = onnx.load(bundle / "graph_int8.onnx")
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    kinds = {
        node.name.partition("/")[0]: [makers.get(name) for name in node.input]
        for node in model.graph.node
        if node.op_type == "MatMul" and node.name.startswith("generator.encoder.blocks.0")
    }
    assert kinds["generator.encoder.blocks.0.mlp.fc1"] == ["DequantizeLinear"] * 2
    assert "DequantizeLinear" not in kinds["generator.encoder.blocks.0.attention"]


def test_weights_that_stay_fp32_are_not_stored_again(bundle: Path, good: list[Path]) -> None:
    add(bundle, good)
    model = onnx.load(bundle / "graph_int8.onnx", load_external_data=False)
    outside = [tensor for tensor in model.graph.initializer if tensor.external_data]
    places = {entry.value for t in outside for entry in t.external_data if entry.key == "location"}
    assert places == {"weights_fp32.bin"}


def test_a_score_does_not_depend_on_the_rest_of_its_batch(bundle: Path, good: list[Path]) -> None:
    add(bundle, good)
    alone, together = (scores(bundle, Precision.INT8, n) for n in (1, 3))
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-5)


def test_a_block_planted_to_be_harmful_stays_fp32(tmp_path: Path, good: list[Path]) -> None:
    bundle = make(tmp_path, Target.PIXELS, make_uneven)
    result = add(bundle, good)
    assert result.why_not is None
    assert not {"encoder", "generator.encoder.blocks.1"} & set(result.parts)
    assert verify_bundle(read_bundle(bundle), precision=Precision.INT8, threads=1).is_within


@pytest.mark.parametrize(
    ("race", "words"),
    [
        (measured(1.02), "1.02 times as fast here"),
        (measured(1.4, low=0.9), "(95 %: 0.90 to 1.40), with generator.encoder"),
    ],
)
def test_what_is_not_faster_leaves_the_bundle_as_it_was(
    bundle: Path, good: list[Path], race: Race, words: str
) -> None:
    before = files(bundle)
    result = add(bundle, good, race)
    assert words in str(result.why_not)
    assert files(bundle) == before


def test_parts_beyond_the_budget_leave_the_bundle_as_it_was(
    bundle: Path, good: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, nodes: object, feeds: object) -> bytes:
        model = onnx.load(path)
        swap_colours(model)
        return bytes(model.SerializeToString())

    monkeypatch.setattr(int8, "int8_graph", broken)
    before = files(bundle)
    result = add(bundle, good)
    assert "no part holds the budgets; the nearest" in str(result.why_not)
    assert files(bundle) == before


def test_an_earlier_graph_goes_where_it_is_not_faster_any_more(
    bundle: Path, good: list[Path]
) -> None:
    before = files(bundle)
    add(bundle, good)
    assert read_bundle(bundle).has_graph(Precision.INT8)
    add(bundle, good, measured(1.0))
    assert files(bundle) == before


def test_recalibration_keeps_the_graph_which_takes_the_new_constants(
    bundle: Path, good: list[Path]
) -> None:
    add(bundle, good)
    before = scores(bundle, Precision.INT8)
    calibration = calibrate_stand_in(bundle, Rule.MAHALANOBIS, Normalisation.BLOCK, 1)
    install_calibration(read_bundle(bundle), calibration)
    after, fp32 = (scores(bundle, p) for p in (Precision.INT8, Precision.FP32))
    assert not np.allclose(after, before, rtol=0.01)
    np.testing.assert_allclose(after, fp32, rtol=0.01)


def test_a_graph_is_made_under_the_papers_rule_as_well(bundle: Path, good: list[Path]) -> None:
    calibration = calibrate_stand_in(bundle, Rule.PAPER, Normalisation.NONE, 1)
    install_calibration(read_bundle(bundle), calibration)
    assert add(bundle, good).why_not is None


def test_a_new_export_holds_neither_the_old_graph_nor_one_that_was_being_made(
    bundle: Path, good: list[Path]
) -> None:
    add(bundle, good)
    config = config_of(Target.PIXELS)

    def race(fp32: object, int8: object) -> Speedup:
        generator = make_generator(config)
        make_uneven(generator)  # the graph is the same, its weights are not
        write_bundle(generator, config, bundle, force=True)
        return Speedup(value=2.0, low=2.0, high=2.0)

    with pytest.raises(BundleError, match="was exported anew"):
        add(bundle, good, race)
    assert not read_bundle(bundle).has_graph(Precision.INT8)
    assert not (bundle / "graph_int8.onnx").exists()


def test_a_trial_that_answered_no_numbers_is_null_in_the_manifest(tmp_path: Path) -> None:
    report = ParityReport(
        n_images=1, n_ties=0, score_error=math.inf, map_error=math.inf, map_correlation=-1.0,
        n_scale_changes=0, problems=(),
    )  # fmt: skip
    trial = Trial(parts=("encoder",), report=report, excess=math.inf)
    record = int8._record(
        read_bundle(make_bundle(tmp_path, calibrated=False)),
        Int8Result(parts=(), report=None, speedup=None, why_not="too far"),
        Choice(parts=(), report=None, trials=(trial,)),
        load_int8_pictures(save_good(tmp_path), PreprocessConfig(size=SIZE), n_positions=1, seed=0),
    )
    assert record["trials"] == [{"parts": ["encoder"], "excess": None, "score_error": None}]
    json.dumps(record, allow_nan=False)


def test_too_few_pictures_are_refused_with_their_number(bundle: Path, good: list[Path]) -> None:
    with pytest.raises(CalibrationError, match="7 good pictures can be used, INT8 takes 8"):
        add(bundle, good[:7])


def test_a_graph_without_names_of_modules_is_refused(tmp_path: Path, good: list[Path]) -> None:
    bundle = make_bundle(tmp_path, has_golden=True)
    with pytest.raises(CalibrationError, match="does not name its modules"):
        add(bundle, good)


def test_without_onnx_the_extra_is_named(
    bundle: Path, good: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnx" else find(name)
    )
    with pytest.raises(MissingPackageError, match=r"edgeinspect\[int8\]"):
        add(bundle, good)
