"""Bundles made of runs: the graphs compute what PyTorch does, or nothing is written."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from edgeinspect.bundle import read_bundle
from edgeinspect.calibration.statistics import statistics
from edgeinspect.cli.main import build_app
from edgeinspect.config import Form, Measure, Rule, RunConfig
from edgeinspect.constants import RuleConstants, neutral_constants, one_hot
from edgeinspect.errors import ConfigError, ExportError, OutputError, TrainingError
from edgeinspect.export import bundling, export_run
from edgeinspect.export.graph import SCORE_OUTPUTS, InspectionGraph
from edgeinspect.parity import FP32_BUDGET, Golden, compare_outputs
from edgeinspect.runtime.session import Scores, open_maps, open_session
from edgeinspect.scoring import RuleInputs
from edgeinspect.training.checkpoint import TrainingState, save_best
from edgeinspect.training.run_folder import Plan, RunFolder

from .conftest import CONFIG, SIZE, Exported, make_generator

GRAPHS = (
    bundling.SCORES,
    bundling.MAPS,
    bundling.WEIGHTS,
    bundling.HALF_SCORES,
    bundling.HALF_WEIGHTS,
    bundling.PRECISION,
)
TILE = np.array([1, 0, 1], np.int32)


def make_images(n: int = len(TILE)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


def make_constants(rule: Rule, config: RunConfig = CONFIG) -> RuleConstants:
    """Constants of two tile positions that move everything a little."""
    rng = np.random.default_rng(1)
    neutral = neutral_constants(config)
    shape = (2, *neutral.map_mean.shape[1:])
    noise = rng.normal(0, 0.1, neutral.precision.shape)
    return dataclasses.replace(
        neutral,
        map_mean=rng.random(shape) * 0.1,
        map_inv_std=rng.uniform(1, 2, shape),
        stat_mean=rng.random(neutral.stat_mean.shape),
        stat_inv_std=rng.uniform(1, 2, neutral.stat_mean.shape),
        stat_weight=rng.choice([0.0, 0.5, 1.0], neutral.stat_mean.shape),
        precision=neutral.precision + noise @ noise.T,
        rule=one_hot(rule),
    )


def in_torch(made: Exported, n: int, constants: RuleConstants) -> Scores:
    graph = InspectionGraph(made.generator, made.config)
    inputs = torch.from_numpy(make_images()[:n]), torch.from_numpy(TILE[:n])
    with torch.inference_mode():
        outputs = graph(*inputs, *RuleInputs.from_constants(constants))[: len(SCORE_OUTPUTS)]
    return Scores(**{k: v.numpy() for k, v in zip(SCORE_OUTPUTS, outputs, strict=True)})


def in_onnxruntime(made: Exported, n: int, constants: RuleConstants) -> Scores:
    with open_session(made.bundle, runtime="onnxruntime", threads=1, constants=constants) as s:
        return s.infer(make_images()[:n], TILE[:n])


@pytest.mark.parametrize("n", [1, 3])
def test_each_form_computes_what_pytorch_does_at_any_batch(each_exported: Exported, n: int) -> None:
    constants = make_constants(Rule.PEAK)
    found, expected = (run(each_exported, n, constants) for run in (in_onnxruntime, in_torch))
    report = compare_outputs(
        expected, found, constants, FP32_BUDGET, n_placed=CONFIG.scoring.n_placed
    )
    assert report.problems == ()
    assert (report.n_images, report.n_ties) == (n, 0)


@pytest.mark.parametrize("rule", [Rule.PEAK, Rule.MAHALANOBIS])
def test_features_are_computed_as_pytorch_does_at_any_batch(
    of_features: Exported, rule: Rule
) -> None:
    constants = make_constants(rule, of_features.config)
    for n in (1, 3):
        found, expected = (run(of_features, n, constants) for run in (in_onnxruntime, in_torch))
        report = compare_outputs(
            expected, found, constants, FP32_BUDGET, n_placed=of_features.config.scoring.n_placed
        )
        assert report.problems == ()


def test_the_maps_of_a_bundle_with_features_are_those_its_manifest_measures(
    of_features: Exported,
) -> None:
    target = of_features.config.generator.target
    measures = [measure.value for measure in of_features.bundle.config.scoring.measures]
    of_pixels = ["l1", "ssim", "msgms"] if target.has_pixels else []
    assert measures == [*of_pixels, "features", "whole"]
    assert of_features.bundle.manifest.config["scoring"]["measures"] == measures
    shape = of_features.bundle.manifest.graph["maps"]["outputs"]["error_maps"]["shape"]
    assert shape == ["batch", len(measures), 2, SIZE, SIZE]
    with open_maps(of_features.bundle, threads=1) as maps:
        assert maps.error_maps(make_images()).shape == (3, len(measures), 2, SIZE, SIZE)


@pytest.mark.parametrize("rule", list(Rule))
def test_each_rule_computes_what_pytorch_does(exported: Exported, rule: Rule) -> None:
    constants = make_constants(rule)
    found, expected = (run(exported, 3, constants) for run in (in_onnxruntime, in_torch))
    assert found.score == pytest.approx(expected.score, abs=FP32_BUDGET.score_error)
    assert found.scale.tolist() == expected.scale.tolist()
    assert found.anomaly_map == pytest.approx(expected.anomaly_map, abs=1e-4)


@pytest.mark.parametrize("rule", list(Rule))
def test_a_value_that_is_no_number_reaches_the_scores_of_its_image_alone(
    exported: Exported, rule: Rule
) -> None:
    constants = make_constants(rule)
    constants.map_mean[0, 1, 1, 3, 3] = np.nan
    found = in_onnxruntime(exported, 3, constants)
    for scores in (found.score, found.local_score, found.global_score):
        assert np.isnan(scores).tolist() == [False, True, False]


def test_the_graph_has_nothing_that_engines_refuse(each_exported: Exported) -> None:
    assert_engines_take(each_exported)


def test_the_graph_of_features_has_nothing_that_engines_refuse(of_features: Exported) -> None:
    assert_engines_take(of_features)


def assert_engines_take(made: Exported) -> None:
    for path in (made.bundle.graph_path(), made.bundle.maps_path):
        model = onnx.load(path)
        kinds = {node.op_type for node in model.graph.node}
        assert not {k for k in kinds if k.startswith(("Scatter", "Sequence"))}
        assert not kinds & {"If", "Loop", "NonZero", "Attention"}
        assert (model.ir_version, [o.version for o in model.opset_import]) == (10, [20])


def test_the_maps_graph_ends_with_what_the_scoring_graph_measures(exported: Exported) -> None:
    with open_maps(exported.bundle, threads=1) as maps:
        errors, recons = maps.reconstruct(make_images())
    numbers = statistics(errors, exported.config.scoring)
    found = in_onnxruntime(exported, 3, doubled(neutral_constants(exported.config)))
    assert found.statistics == pytest.approx(numbers, abs=1e-5)
    assert recons.shape == (3, 2, SIZE, SIZE, 3)
    assert recons.min() >= 0
    assert recons.max() <= 1


def doubled(constants: RuleConstants) -> RuleConstants:
    """The same maps for two tile positions."""
    maps = {n: np.repeat(getattr(constants, n), 2, 0) for n in ("map_mean", "map_inv_std")}
    return dataclasses.replace(constants, **maps)


def test_the_manifest_says_what_the_graph_takes_and_gives(exported: Exported) -> None:
    manifest = exported.bundle.manifest
    scores = manifest.graph["scores"]
    assert scores["inputs"]["image"] == {"dtype": "uint8", "shape": ["batch", SIZE, SIZE, 3]}
    assert scores["inputs"]["tile"] == {"dtype": "int32", "shape": ["batch"]}
    assert scores["inputs"]["map_mean"]["shape"] == ["tiles", 3, 2, SIZE, SIZE]
    assert list(scores["outputs"]) == list(SCORE_OUTPUTS)
    assert scores["outputs"]["scale"] == {"dtype": "int32", "shape": ["batch"]}
    assert manifest.graph["top_k"]["top_01_percent"] == 4  # of 4096 pixels
    assert manifest.provenance["n_training"] == 7
    assert torch.__version__.startswith(manifest.provenance["versions"]["torch"])


def test_the_manifest_says_what_a_call_costs(exported: Exported) -> None:
    work = exported.bundle.manifest.graph["work"]
    single, half = work["fp32"], work["fp16"]
    assert single["flop_per_image"] == half["flop_per_image"] > 0
    assert half["weight_bytes"] < 0.7 * single["weight_bytes"]
    assert half["value_bytes_per_image"] < single["value_bytes_per_image"]  # scoring stays FP32


def test_the_golden_outputs_of_a_bundle_hold_for_its_session(exported: Exported) -> None:
    golden = Golden.load(exported.bundle.path / "golden.npz")
    with open_session(exported.bundle, constants=golden.constants, threads=1) as session:
        outputs = session.infer(golden.images, golden.tile)
    assert compare_outputs(
        golden, outputs, golden.constants, FP32_BUDGET, n_placed=golden.n_placed
    ).is_within
    assert golden.names[-1] == "noise"


def test_the_card_names_the_model_and_its_training(exported: Exported) -> None:
    card = (exported.bundle.path / "card.md").read_text(encoding="utf-8")
    assert card.startswith("# part\n")
    assert "| trained the generator | 7 | - |" in card
    assert "noise |\n" in card
    assert "| masks | blocks of 8 and 16 px, patch 8 px |" in card


Borrow = Callable[[Exported], None]


@pytest.fixture
def borrow_graphs(monkeypatch: pytest.MonkeyPatch) -> Borrow:
    """Take the graphs from a bundle that is there instead of exporting again."""

    def borrow(made: Exported) -> None:
        def copy(graph: Any, golden: Any, folder: Path) -> None:
            for name in GRAPHS:
                shutil.copy(made.bundle.path / name, folder / name)

        monkeypatch.setattr(bundling, "_write_graphs", copy)

    return borrow


def test_a_graph_that_computes_something_else_leaves_nothing_behind(
    exported: Exported, borrow_graphs: Borrow, tmp_path: Path
) -> None:
    borrow_graphs(exported)
    other, config = make_generator(Form.CROSS, seed=1)
    with pytest.raises(ExportError, match="does not compute what PyTorch does: scores differ"):
        bundling.write_bundle(other, config, tmp_path / "part.bundle")
    assert list(tmp_path.iterdir()) == []


def make_run(folder: Path, made: Exported) -> Path:
    plan = Plan(
        config=made.config,
        n_steps=10,
        folder=str(folder / "gone"),
        training={"ab" * 32: "a.png"},
        holdout={"cd" * 32: "b.png"},
        skipped=(),
        mean=0.5,
        spread=0.1,
    )
    run = RunFolder.create(folder / "run", plan)
    save_best(run, made.generator, TrainingState(step=10, best_step=8, best_error=0.01))
    return run.path


def test_a_run_becomes_a_bundle_with_its_provenance(
    exported: Exported, borrow_graphs: Borrow, tmp_path: Path
) -> None:
    borrow_graphs(exported)
    bundle = export_run(make_run(tmp_path, exported), tmp_path / "screw.bundle")
    assert bundle.name == "screw"
    assert bundle.config == exported.config
    assert bundle.manifest.provenance["training_pictures"] == {"ab" * 32: "a.png"}
    assert "| exported step | 8 |" in (bundle.path / "card.md").read_text(encoding="utf-8")


def test_only_force_replaces_a_bundle(
    exported: Exported, borrow_graphs: Borrow, tmp_path: Path
) -> None:
    borrow_graphs(exported)
    run, path = make_run(tmp_path, exported), tmp_path / "part.bundle"
    export_run(run, path)
    with pytest.raises(OutputError, match="add --force to replace it"):
        export_run(run, path)
    assert export_run(run, path, force=True).path == path


def test_what_training_fixed_cannot_be_set(exported: Exported, tmp_path: Path) -> None:
    run = make_run(tmp_path, exported)
    with pytest.raises(ConfigError, match=r"generator\.width was fixed when the run was trained"):
        export_run(run, tmp_path / "part.bundle", settings={"generator.width": "128"})
    assert not (tmp_path / "part.bundle").exists()


def test_what_is_measured_can_be_set(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []
    monkeypatch.setattr(bundling, "write_bundle", lambda _, config, *a, **k: asked.append(config))
    run = make_run(tmp_path, exported)
    export_run(run, tmp_path / "part.bundle", settings={"scoring.measures": "l1,ssim"})
    assert asked[0].scoring.measures == (Measure.L1, Measure.SSIM)


def test_merging_can_be_set_and_changes_no_weight(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(bundling, "write_bundle", lambda *args, **_: asked.extend(args))
    export_run(make_run(tmp_path, exported), tmp_path / "part.bundle", merge="8")
    generator, config, _path = asked
    assert config.generator.merge == 8
    assert [block.merge for block in generator.encoder.blocks] == [8]
    for name, weight in exported.generator.state_dict().items():
        assert torch.equal(generator.state_dict()[name], weight)


@pytest.mark.parametrize(
    ("merge", "message"),
    [
        ("99", "can merge at most 16"),
        ("4,4", "for 1 blocks"),
        ("some", "which is not a whole number"),
    ],
)
def test_merging_that_cannot_be_leaves_nothing_behind(
    exported: Exported, tmp_path: Path, merge: str, message: str
) -> None:
    run, path = make_run(tmp_path, exported), tmp_path / "part.bundle"
    with pytest.raises(ConfigError, match=message):
        export_run(run, path, merge=merge)
    assert not path.exists()


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is not a training run"):
        export_run(tmp_path, tmp_path / "part.bundle")


def invoke(*words: object) -> Any:
    return CliRunner().invoke(build_app("export"), ["export", *map(str, words)])


def test_the_command_writes_a_bundle_and_says_what_comes_next(
    exported: Exported, borrow_graphs: Borrow, tmp_path: Path
) -> None:
    borrow_graphs(exported)
    path = tmp_path / "part.bundle"
    result = invoke(make_run(tmp_path, exported), path)
    assert result.exit_code == 0
    assert f"edgeinspect calibrate {path} GOOD_DIR" in result.stdout
    assert read_bundle(path).calibration is None


def test_the_command_answers_a_machine(
    exported: Exported, borrow_graphs: Borrow, tmp_path: Path
) -> None:
    borrow_graphs(exported)
    path = tmp_path / "part.bundle"
    answer = json.loads(invoke(make_run(tmp_path, exported), path, "--json").stdout)
    assert answer["bundle"] == str(path)
    assert answer["size_bytes"] == sum(file.stat().st_size for file in path.iterdir())


def test_the_command_asks_for_the_value_of_a_setting(tmp_path: Path) -> None:
    result = invoke(tmp_path, tmp_path / "part.bundle", "--set", "scoring.blur_px")
    assert isinstance(result.exception, ConfigError)
    assert "write scoring.KEY=VALUE" in str(result.exception)
