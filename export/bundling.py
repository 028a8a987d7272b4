"""A training run becomes a bundle, checked against PyTorch before it exists."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from edgeinspect import __version__
from edgeinspect.bundle import CARD, Bundle, Manifest, new_bundle, read_bundle
from edgeinspect.card import write_card
from edgeinspect.config import RunConfig, to_dict, with_settings
from edgeinspect.errors import ConfigError, ExportError
from edgeinspect.export.golden import golden_images, make_golden
from edgeinspect.export.graph import MAPS_OUTPUTS, SCORE_OUTPUTS, InspectionGraph
from edgeinspect.export.graph_flops import describe_work
from edgeinspect.export.half import half_graph
from edgeinspect.export.onnx_graph import (
    GraphIO,
    cut_part,
    describe_graph,
    export_graph,
    save_graphs,
)
from edgeinspect.export.operators import check_operators
from edgeinspect.export.precision import describe_precision
from edgeinspect.export.ranges import largest_magnitudes
from edgeinspect.model.generator import Generator
from edgeinspect.parity import (
    FP16_BUDGET,
    FP32_BUDGET,
    Budget,
    Golden,
    ParityReport,
    compare_maps,
    compare_outputs,
)
from edgeinspect.runtime.onnxruntime_session import OnnxRuntimeMaps, OnnxRuntimeSession
from edgeinspect.scoring import RuleInputs
from edgeinspect.training.checkpoint import load_generator
from edgeinspect.training.run_folder import RunFolder
from edgeinspect.writing import to_utf8

if TYPE_CHECKING:
    import onnx

__all__ = ["export_run", "graph_io", "write_bundle"]

_log = logging.getLogger(__name__)

Floats = NDArray[np.float32]

SCORES, MAPS, WEIGHTS = "graph_fp32.onnx", "maps_fp32.onnx", "weights_fp32.bin"
HALF_SCORES, HALF_WEIGHTS = "graph_fp16.onnx", "weights_fp16.bin"
PRECISION = "precision.json"
_PACKAGES = ("torch", "timm", "onnx", "onnxscript", "onnxsim", "numpy")
_SECTION = "scoring."


def export_run(
    run: Path,
    path: Path,
    *,
    force: bool = False,
    merge: str | None = None,
    settings: Mapping[str, str] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Bundle:
    """Write the best generator of a run as a bundle; half a minute to two.

    Args:
        run: folder of a training run.
        path: the bundle to write; only `force` replaces one.
        merge: tokens merged away in each encoder block, such as "16", or "0,8,16" for each of
            three blocks; None as it was trained.
        settings: `scoring.KEY` to value, what is fixed in the graph besides the generator.
        notes: what else to say in the provenance, JSON types only: `hardware` (names) that
            trained, for how many `seconds`, `warnings` (sentences) about the pictures.
    Raises: TrainingError if the run is none or has no checkpoint; ConfigError for a setting;
        OutputError for the place; ExportError if the graph cannot be made or is beyond the
        parity budget. After an error nothing of the bundle is left.
    """
    generator, config, provenance = load_generator(run)
    config = _with_scoring(config, settings or {})
    if merge is not None:
        config = with_settings(config, {"generator.merge": merge})
        generator = _merging(generator, config)
    folder = RunFolder.open(run)
    pictures = [*folder.holdout_paths(), *folder.training_paths()]
    return write_bundle(
        generator,
        config,
        path,
        force=force,
        provenance={**provenance, **(notes or {})},
        pictures=pictures,
    )


def write_bundle(
    generator: Generator,
    config: RunConfig,
    path: Path,
    *,
    force: bool = False,
    provenance: Mapping[str, Any] | None = None,
    pictures: list[Path] | None = None,
) -> Bundle:
    """Write a generator as a bundle. See `export_run`.

    Args:
        provenance: where the weights come from, JSON types only.
        pictures: good pictures to check the graph on, the first that can be read.
    """
    provenance = provenance or {}
    name = path.name.removesuffix(".bundle")
    with new_bundle(path, force=force) as draft:
        images, names = golden_images(pictures or [], config.preprocess)
        graph = InspectionGraph(generator, config).eval()
        golden, error_maps = make_golden(graph, images, names, config)
        golden.save(draft.folder / "golden.npz")
        _write_graphs(graph, golden, draft.folder)
        parity = _check_graphs(golden, error_maps, draft.folder)
        draft.manifest = Manifest(
            tool_version=__version__,
            name=name,
            config=to_dict(config),
            graph=_graph_facts(config, draft.folder),
            provenance={
                **provenance,
                "n_parameters": sum(p.numel() for p in generator.parameters()),
                "check": _check_facts(parity, names),
                "versions": _versions(),
            },
        )
        card = write_card(draft.manifest, config, None)
        (draft.folder / CARD).write_bytes(to_utf8(card))
    return read_bundle(path)


def _write_graphs(graph: InspectionGraph, golden: Golden, folder: Path) -> None:
    """Export once, and cut the scoring graph and the error maps' graph out of it.

    The FP16 graph is the scoring graph with other types.
    """
    _log.info("exporting the graph")
    io = graph_io(golden)
    model = export_graph(graph, io)
    ends = {SCORES: (list(io.inputs), SCORE_OUTPUTS), MAPS: (["image"], MAPS_OUTPUTS)}
    parts = {
        name: cut_part(model, name, inputs=inputs, outputs=outputs, axes=io.axes)
        for name, (inputs, outputs) in ends.items()
    }
    _write_half(parts[SCORES], golden, folder)
    save_graphs(parts, folder, weights=WEIGHTS)


def _write_half(scores: onnx.ModelProto, golden: Golden, folder: Path) -> None:
    """The scoring graph in FP16, and what became of its types."""
    largest = largest_magnitudes(scores, golden)
    half = half_graph(scores, largest)
    check_operators(half, HALF_SCORES)
    report = describe_precision(half, largest)
    _log.info("FP16: %.0f %% of the operations", 100 * report.half_share)
    if report.float_products:
        _log.warning(
            "%d matrix products stay FP32, the first is %s: there can be no engine for sm75",
            len(report.float_products),
            report.float_products[0],
        )
    (folder / PRECISION).write_text(report.to_json(), encoding="utf-8")
    save_graphs({HALF_SCORES: half}, folder, weights=HALF_WEIGHTS)


def _check_graphs(golden: Golden, error_maps: Floats, folder: Path) -> ParityReport:
    """Hold the graphs to PyTorch. Raises: ExportError beyond the budget."""
    report = _check_scores(golden, folder / SCORES, FP32_BUDGET)
    _check_scores(golden, folder / HALF_SCORES, FP16_BUDGET)
    with OnnxRuntimeMaps(folder / MAPS, threads=None) as maps:
        found = maps.error_maps(golden.images)
    _require(compare_maps(error_maps, found, FP32_BUDGET, names=golden.names), MAPS)
    return report


def _check_scores(golden: Golden, path: Path, budget: Budget) -> ParityReport:
    with OnnxRuntimeSession(path, golden.constants, threads=None) as session:
        outputs = session.infer(golden.images, golden.tile)
    report = compare_outputs(
        golden, outputs, golden.constants, budget, n_placed=golden.n_placed, names=golden.names
    )
    _require(report, path.name)
    return report


def _require(report: ParityReport, name: str) -> None:
    if not report.is_within:
        raise ExportError(
            f"{name} does not compute what PyTorch does: {'; '.join(report.problems)}",
            hint="nothing was written; please report it with the run's settings",
        )


def graph_io(golden: Golden) -> GraphIO:
    """Inputs and outputs of the whole graph, with examples of two images and tile positions."""
    inputs = {"image": torch.from_numpy(golden.images[:2]), "tile": torch.tensor([0, 1]).int()}
    constants = RuleInputs.from_constants(golden.constants)._asdict()
    for name in ("map_mean", "map_inv_std"):
        constants[name] = constants[name].repeat(2, 1, 1, 1, 1)
    axes = {"image": {0: "batch"}, "tile": {0: "batch"}}
    axes |= {name: {0: "tiles"} for name in ("map_mean", "map_inv_std")}
    outputs = SCORE_OUTPUTS + MAPS_OUTPUTS
    return GraphIO(inputs={**inputs, **constants}, outputs=outputs, axes=axes)


def _graph_facts(config: RunConfig, folder: Path) -> dict[str, Any]:
    """What the manifest says about the graphs."""
    n_pixels = config.generator.size**2
    return {
        "scores": describe_graph(folder / SCORES),
        "maps": describe_graph(folder / MAPS),
        "work": {
            precision: describe_work(folder / name)
            for precision, name in (("fp32", SCORES), ("fp16", HALF_SCORES))
        },
        "top_k": {s.value: s.top_k(n_pixels) for s in config.scoring.statistics},
    }


def _check_facts(parity: ParityReport, names: Sequence[str]) -> dict[str, Any]:
    """What the manifest says about the comparison with PyTorch."""
    return {
        "images": list(names),
        "score_error": float(parity.score_error),
        "map_error": float(parity.map_error),
    }


def _merging(generator: Generator, config: RunConfig) -> Generator:
    """The same weights in a generator that merges as `config` says; merging has none of its own."""
    merging = Generator(config.generator).eval()
    merging.load_state_dict(generator.state_dict())
    return merging


def _with_scoring(config: RunConfig, settings: Mapping[str, str]) -> RunConfig:
    for key in settings:
        if not key.startswith(_SECTION):
            raise ConfigError(
                f"{key} was fixed when the run was trained",
                hint=f"export can set {_SECTION}KEY; train again to change the rest",
            )
    return with_settings(config, settings)


def _versions() -> dict[str, str]:
    packages = {name: metadata.version(name) for name in _PACKAGES}
    return {
        "python": platform.python_version(),
        **packages,
        "onnxruntime": onnxruntime.__version__,  # of whichever package brings the module
    }
