"""A small bundle with a stand-in graph, for tests of everything that runs bundles.

Its "reconstruction" is the image's mean, so its error maps are powers of |luminance - mean|;
statistics, z, the three scores, scale and map follow the real equations. The real graphs have
tests of their own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper, save_model

from edgeinspect import __version__
from edgeinspect.bundle import Manifest, install_calibration, new_bundle, read_bundle
from edgeinspect.config import (
    GeneratorConfig,
    Normalisation,
    PreprocessConfig,
    ResizeRule,
    Rule,
    RunConfig,
    Statistic,
    to_dict,
)
from edgeinspect.constants import Calibration, RuleConstants, Threshold, neutral_constants, one_hot
from edgeinspect.data.appearance import Appearance
from edgeinspect.data.images import save_picture
from edgeinspect.parity import Golden
from edgeinspect.runtime.onnxruntime_session import OnnxRuntimeSession
from edgeinspect.runtime.session import OUTPUTS, open_session

N_GOOD = 24
SHARES = {Statistic.TOP_1_PERCENT: 0.01, Statistic.TOP_01_PERCENT: 0.001}


def make_bundle(
    folder: Path,
    *,
    size: int = 64,
    n_scales: int = 3,
    calibrated: bool = True,
    resize: ResizeRule = ResizeRule.SQUASH,
    normalisation: Normalisation = Normalisation.BLOCK,
    n_tiles: int = 1,
    rule: Rule = Rule.PEAK,
    white_level_16bit: int = 65535,
    has_golden: bool = False,
    has_int8: bool = False,
) -> Path:
    """Write `folder/part.bundle`; calibrated on flat pictures with a little noise.

    `has_golden` adds golden.npz, answers of the FP32 graph, and a graph that stands for FP16;
    `has_int8` one that stands for INT8.
    """
    config = stand_in_config(size=size, n_scales=n_scales, resize=resize)
    preprocess = replace(config.preprocess, white_level_16bit=white_level_16bit)
    config = replace(config, preprocess=preprocess)
    path = folder / "part.bundle"
    manifest = Manifest(tool_version=__version__, name="part", config=to_dict(config), graph={})
    with new_bundle(path, force=False) as draft:
        save_model(score_graph(config), str(draft.folder / "graph_fp32.onnx"))
        save_model(maps_graph(config), str(draft.folder / "maps_fp32.onnx"))
        if has_golden:
            save_model(score_graph(config), str(draft.folder / "graph_fp16.onnx"))
            make_golden(config, draft.folder / "graph_fp32.onnx").save(draft.folder / "golden.npz")
        if has_int8:
            save_model(score_graph(config), str(draft.folder / "graph_int8.onnx"))
        draft.manifest = manifest
    if calibrated:
        calibration = calibrate_stand_in(path, rule, normalisation, n_tiles)
        install_calibration(read_bundle(path), calibration)
    return path


def make_golden(config: RunConfig, graph: Path) -> Golden:
    """A good part, a bad one and noise in colour, and the graph's own answers."""
    shape = (config.generator.size, config.generator.size)
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    images = np.stack([good_picture(0, shape), bad_picture(1, shape), noise])
    tile = np.zeros(len(images), np.int32)
    constants = neutral_constants(config)
    with OnnxRuntimeSession(graph, constants, threads=1) as session:
        scores = session.infer(images, tile)
    answers = {name: getattr(scores, name) for name in OUTPUTS}
    names = ("good.png", "bad.png", "noise")
    return Golden(
        images=images,
        tile=tile,
        names=names,
        n_placed=config.scoring.n_placed,
        constants=constants,
        **answers,
    )


def stand_in_config(*, size: int, n_scales: int, resize: ResizeRule) -> RunConfig:
    return RunConfig(
        preset="nano",
        generator=GeneratorConfig(
            size=size, patch=8, mask_scales=(1, 2, 4)[:n_scales], width=64, depth=1, decoder_depth=1
        ),
        preprocess=PreprocessConfig(size=size, resize=resize, overlap_px=size // 4),
    )


def make_labelled(folder: Path) -> Path:
    """Three good and three bad pictures of the part, as test/good and test/bright."""
    for label, draw in (("good", good_picture), ("bright", bad_picture)):
        place = folder / "test" / label
        place.mkdir(parents=True)
        for i in range(3):
            save_picture(place / f"{i}.png", draw(i))
    return folder


def good_picture(seed: int, shape: tuple[int, int] = (64, 64)) -> NDArray[np.uint8]:
    """Flat grey with noise of 4 grey levels, (H, W, 3)."""
    noise = np.random.default_rng(seed).normal(0, 4, shape)
    grey = np.clip(np.rint(120 + noise), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def bad_picture(seed: int, shape: tuple[int, int] = (64, 64)) -> NDArray[np.uint8]:
    """A good picture with a bright square of an eighth of its short side, right of the middle."""
    picture = good_picture(seed, shape)
    side = min(shape) // 8
    top, left = shape[0] // 2, shape[1] // 2 + side
    picture[top : top + side, left : left + side] = 250
    return picture


def calibrate_stand_in(
    path: Path, rule: Rule, normalisation: Normalisation, n_tiles: int
) -> Calibration:
    """Mean and spread of the statistics of good pictures; a threshold above all of them."""
    bundle = read_bundle(path)
    scoring, generator = bundle.config.scoring, bundle.config.generator
    neutral = neutral_constants(bundle.config, n_tiles=n_tiles)
    shape = (generator.size, generator.size)
    images = np.stack([good_picture(1000 + i, shape) for i in range(N_GOOD)])
    tile = np.zeros(N_GOOD, np.int32)
    with open_session(bundle, threads=1, constants=neutral) as session:
        statistics = session.infer(images, tile).statistics
    constants = RuleConstants(
        **{
            **neutral.as_inputs(),
            "stat_mean": statistics.mean(axis=0),
            "stat_inv_std": 1 / statistics.std(axis=0),
            "rule": one_hot(rule),
        }
    )
    with open_session(bundle, threads=1, constants=constants) as session:
        scores = session.infer(images, tile)
    return Calibration(
        constants=constants,
        threshold=Threshold(
            value=float(2 * scores.score.max()),
            false_reject_rate=0.05,
            interval=(float(scores.score.max()), float(3 * scores.score.max())),
            rate_interval=(0.0, 0.2),
            method="empirical",
            n_good=N_GOOD,
        ),
        rule=rule,
        normalisation=normalisation,
        measures=tuple(m.value for m in scoring.measures),
        good_scores=scores.score.astype(np.float64),
        good_local=scores.local_score.astype(np.float64),
        good_global=scores.global_score.astype(np.float64),
        good_names=tuple(f"good_{i:03d}.png" for i in range(N_GOOD)),
        good_appearance=np.array([Appearance.of(image).as_row() for image in images]),
    )


def top_k(size: int, statistic: Statistic) -> int:
    if statistic is Statistic.MAX:
        return 1
    return min(max(1, round(SHARES[statistic] * size * size)), 3839)


class _Graph:
    """Nodes and constants of an ONNX graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def ints(self, *values: int) -> str:
        return self.const(values, np.int64)

    def add(
        self, op: str, *inputs: str, out: str | None = None, n_out: int = 1, **keys: Any
    ) -> str:
        name = out or f"n{len(self.nodes)}"
        names = [name, *(f"{name}_{i}" for i in range(1, n_out))]
        self.nodes.append(helper.make_node(op, list(inputs), names, **keys))
        return name

    def model(self, inputs: list[Any], outputs: list[Any]) -> Any:
        graph = helper.make_graph(self.nodes, "stand_in", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        checker.check_model(model, full_check=True)
        return model


def _error_maps(g: _Graph, config: RunConfig) -> tuple[str, str]:
    """(image in 0 to 1 (B, H, W, 3), error maps (B, K, I, H, W)); each a power of its own."""
    scaled = g.add("Mul", g.add("Cast", "image", to=TensorProto.FLOAT), g.const(1 / 255))
    luminance = g.add("MatMul", scaled, g.const([[0.299], [0.587], [0.114]]))
    planes = g.add("Unsqueeze", g.add("Squeeze", luminance, g.ints(-1)), g.ints(1, 2))
    mean = g.add("ReduceMean", planes, g.ints(-2, -1), keepdims=1)
    shape = (1, len(config.scoring.measures), config.generator.n_scales, 1, 1)
    powers = 1 + np.arange(np.prod(shape)).reshape(shape) / 8
    error = g.add("Abs", g.add("Sub", planes, mean))
    return scaled, g.add("Pow", error, g.const(powers), out="error_maps")


def maps_graph(config: RunConfig) -> Any:
    g = _Graph()
    size, n_scales = config.generator.size, config.generator.n_scales
    scaled, _ = _error_maps(g, config)
    mean = g.add("ReduceMean", scaled, g.ints(1, 2), keepdims=1)
    spread = g.add("Add", g.add("Mul", scaled, g.const(0.0)), mean)
    ones = g.const(np.ones((1, n_scales, 1, 1, 1)))
    g.add("Mul", g.add("Unsqueeze", spread, g.ints(1)), ones, out="reconstructions")
    n_measures = len(config.scoring.measures)
    return g.model(
        [_value("image", TensorProto.UINT8, "B", size, size, 3)],
        [
            _value("error_maps", TensorProto.FLOAT, "B", n_measures, n_scales, size, size),
            _value("reconstructions", TensorProto.FLOAT, "B", n_scales, size, size, 3),
        ],
    )


def score_graph(config: RunConfig) -> Any:
    g = _Graph()
    size, n_scales = config.generator.size, config.generator.n_scales
    n_measures = len(config.scoring.measures)
    n_maps = n_measures * n_scales
    _, errors = _error_maps(g, config)
    centred = g.add("Sub", errors, g.add("Gather", "map_mean", "tile"))
    maps = g.add("Mul", centred, g.add("Gather", "map_inv_std", "tile"))
    _statistics(g, maps, config)
    z = g.add("Mul", g.add("Sub", "statistics", "stat_mean"), "stat_inv_std")
    winner = _local_score(g, z)
    _global_score(g, z)
    paper_scale, paper_score = _paper_score(g, config)

    def unsqueezed(name: str) -> str:
        return g.add("Unsqueeze", name, g.ints(1))

    three = g.add("Concat", *map(unsqueezed, (paper_score, "local_score", "global_score")), axis=1)
    g.add("ReduceSum", g.add("Mul", three, "rule"), g.ints(1), keepdims=0, out="score")
    n_stat = len(config.scoring.statistics)
    won_map = g.add("Div", winner, g.const(n_stat, np.int64))
    is_paper = g.add("Greater", g.add("Gather", "rule", g.const(0, np.int64)), g.const(0.5))
    chosen = g.add("Where", is_paper, paper_scale, won_map)
    scale = g.add("Mod", chosen, g.const(n_scales, np.int64))
    g.add("Cast", scale, to=TensorProto.INT32, out="scale")
    picks = g.add("OneHot", chosen, g.ints(n_maps), g.const([0, 1]), axis=-1)
    picks = g.add("Unsqueeze", picks, g.ints(2, 3))
    flat = g.add("Reshape", maps, g.ints(0, n_maps, size, size))
    g.add("ReduceSum", g.add("Mul", flat, picks), g.ints(1), keepdims=0, out="anomaly_map")
    return g.model(_score_inputs(config), _score_outputs(config))


def _statistics(g: _Graph, maps: str, config: RunConfig) -> None:
    size = config.generator.size
    n_maps = len(config.scoring.measures) * config.generator.n_scales
    pixels = g.add("Reshape", maps, g.ints(0, n_maps, size * size))
    columns = []
    for statistic in config.scoring.statistics:
        largest = pixels
        if statistic is not Statistic.MEAN:
            largest = g.add("TopK", pixels, g.ints(top_k(size, statistic)), n_out=2, axis=-1)
        columns.append(g.add("ReduceMean", largest, g.ints(-1), keepdims=1))
    table = g.add("Concat", *columns, axis=-1)
    n = config.scoring.n_statistics(config.generator.n_scales)
    g.add("Reshape", table, g.ints(0, n), out="statistics")


def _local_score(g: _Graph, z: str) -> str:
    """Adds `local_score`; gives the index of the winning statistic (B,)."""
    product = g.add("Mul", z, "stat_weight")
    both_ways = g.add(
        "Where", g.add("Less", "stat_weight", g.const(0.0)), g.add("Abs", product), g.const(-3e38)
    )
    weighted = g.add("Where", g.add("Greater", "stat_weight", g.const(0.0)), product, both_ways)
    g.add("ReduceMax", weighted, g.ints(1), keepdims=0, out="local_score")
    return g.add("ArgMax", weighted, axis=1, keepdims=0)


def _global_score(g: _Graph, z: str) -> None:
    square = g.add(
        "ReduceSum", g.add("Mul", g.add("MatMul", z, "precision"), z), g.ints(1), keepdims=0
    )
    g.add("Sqrt", g.add("Max", square, g.const(0.0)), out="global_score")


def _paper_score(g: _Graph, config: RunConfig) -> tuple[str, str]:
    """(scale f (B,), paper_score (B,)), eq. 8."""
    n_scales, n_stat = config.generator.n_scales, len(config.scoring.statistics)
    shape = g.ints(-1, len(config.scoring.measures), n_scales, n_stat)
    at_mean = config.scoring.statistics.index(Statistic.MEAN)
    means = g.ints(*(i * n_stat + at_mean for i in range(n_scales)))
    excess = g.add("Gather", g.add("Sub", "statistics", "stat_mean"), means, axis=1)
    chosen = g.add("ArgMax", excess, axis=1, keepdims=0)
    weighted = g.add("Reshape", g.add("Mul", "statistics", "stat_weight"), shape)
    total = g.add("ReduceSum", weighted, g.ints(1, 3), keepdims=0)
    weights = g.add("ReduceSum", g.add("Reshape", "stat_weight", shape), g.ints(1, 3), keepdims=0)
    by_scale = g.add("Div", total, g.add("Max", weights, g.const(1e-12)))
    picks = g.add("OneHot", chosen, g.ints(n_scales), g.const([0, 1]), axis=-1)
    return chosen, g.add("ReduceSum", g.add("Mul", by_scale, picks), g.ints(1), keepdims=0)


def _score_inputs(config: RunConfig) -> list[Any]:
    size, n_scales = config.generator.size, config.generator.n_scales
    maps = ("T", len(config.scoring.measures), n_scales, size, size)
    n = config.scoring.n_statistics(n_scales)
    return [
        _value("image", TensorProto.UINT8, "B", size, size, 3),
        _value("tile", TensorProto.INT32, "B"),
        _value("map_mean", TensorProto.FLOAT, *maps),
        _value("map_inv_std", TensorProto.FLOAT, *maps),
        *(_value(f"stat_{name}", TensorProto.FLOAT, n) for name in ("mean", "inv_std", "weight")),
        _value("precision", TensorProto.FLOAT, n, n),
        _value("rule", TensorProto.FLOAT, len(Rule)),
    ]


def _score_outputs(config: RunConfig) -> list[Any]:
    size = config.generator.size
    n = config.scoring.n_statistics(config.generator.n_scales)
    return [
        *(_value(f"{name}score", TensorProto.FLOAT, "B") for name in ("", "local_", "global_")),
        _value("scale", TensorProto.INT32, "B"),
        _value("anomaly_map", TensorProto.FLOAT, "B", size, size),
        _value("statistics", TensorProto.FLOAT, "B", n),
    ]


def _value(name: str, kind: int, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)
