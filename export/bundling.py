"""A training run becomes a bundle, checked against PyTorch before it exists."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeinspect import __version__
from edgeinspect.bundle import Bundle, Manifest, new_bundle, read_bundle
from edgeinspect.config import RunConfig, to_dict, with_settings
from edgeinspect.errors import ConfigError, ExportError
from edgeinspect.export.card import write_card
from edgeinspect.export.golden import golden_images, make_golden
from edgeinspect.export.graph import MAPS_OUTPUTS, InspectionGraph, MapsGraph
from edgeinspect.export.onnx_graph import GraphIO, describe_graph, write_graph
from edgeinspect.model.generator import Generator
from edgeinspect.parity import FP32_BUDGET, Golden, ParityReport, compare_maps, compare_outputs
from edgeinspect.runtime.onnxruntime_session import OnnxRuntimeMaps, OnnxRuntimeSession
from edgeinspect.scoring import RuleInputs, ScoreOutputs, top_k
from edgeinspect.training.checkpoint import load_generator
from edgeinspect.training.run_folder import RunFolder

__all__ = ["export_run", "write_bundle"]

log = logging.getLogger(__name__)

_PACKAGES = ("torch", "timm", "onnx", "onnxscript", "onnxsim", "onnxruntime", "numpy")
_SECTION = "scoring."


def export_run(
    run: Path, path: Path, *, force: bool = False, settings: Mapping[str, str] | None = None
) -> Bundle:
    """Write the best generator of a run as a bundle; half a minute to two.

    Args:
        run: folder of a training run.
        path: the bundle to write; only `force` replaces one.
        settings: `scoring.KEY` to value, what is fixed in the graph besides the generator.
    Raises: TrainingError if the run is none or has no checkpoint; ConfigError for a setting;
        OutputError for the place; ExportError if the graph cannot be made or is beyond the
        parity budget. After an error nothing of the bundle is left.
    """
    generator, config, provenance = load_generator(run)
    config = _with_scoring(config, settings or {})
    folder = RunFolder.open(run)
    pictures = [*folder.holdout_paths(), *folder.training_paths()]
    return write_bundle(
        generator, config, path, force=force, provenance=provenance, pictures=pictures
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
        golden = make_golden(graph, images, names, config)
        golden.save(draft.folder / "golden.npz")
        parity = _write_graphs(graph, golden, config, draft.folder)
        card = write_card(
            name,
            config,
            provenance,
            n_parameters=sum(p.numel() for p in generator.parameters()),
            parity=parity,
            golden_names=names,
        )
        (draft.folder / "card.md").write_text(card, encoding="utf-8")
        draft.manifest = Manifest(
            tool_version=__version__,
            name=name,
            config=to_dict(config),
            graph=_graph_facts(config, draft.folder),
            provenance={**provenance, "versions": _versions()},
        )
    return read_bundle(path)


def _write_graphs(
    graph: InspectionGraph, golden: Golden, config: RunConfig, folder: Path
) -> ParityReport:
    """Write both graphs and hold them to PyTorch. Raises: ExportError beyond the budget."""
    scores_path, maps_path = folder / "graph_fp32.onnx", folder / "maps_fp32.onnx"
    log.info("exporting the scoring graph")
    write_graph(graph, score_io(golden), scores_path)
    with OnnxRuntimeSession(scores_path, golden.constants, threads=None) as session:
        outputs = session.infer(golden.images, golden.tile)
    report = compare_outputs(golden, outputs, golden.constants, FP32_BUDGET)
    _require(report, scores_path.name)

    log.info("exporting the error maps' graph")
    maps = MapsGraph(graph.reconstruction.generator, config).eval()
    write_graph(maps, maps_io(golden), maps_path)
    _require(_compare_map_graph(maps, maps_path, golden.images), maps_path.name)
    return report


def _compare_map_graph(maps: nn.Module, path: Path, images: NDArray[np.uint8]) -> ParityReport:
    with torch.inference_mode():
        expected = maps(torch.from_numpy(images))[0].numpy()
    with OnnxRuntimeMaps(path, threads=None) as session:
        return compare_maps(expected, session.error_maps(images), FP32_BUDGET)


def _require(report: ParityReport, name: str) -> None:
    if not report.is_within:
        raise ExportError(
            f"{name} does not compute what PyTorch does: {'; '.join(report.problems)}",
            hint="nothing was written; please report it with the run's settings",
        )


def score_io(golden: Golden) -> GraphIO:
    """Inputs and outputs of the scoring graph, with examples of two images and tile positions."""
    inputs = {"image": torch.from_numpy(golden.images[:2]), "tile": torch.tensor([0, 1]).int()}
    constants = RuleInputs.from_constants(golden.constants)._asdict()
    for name in ("map_mean", "map_inv_std"):
        constants[name] = constants[name].repeat(2, 1, 1, 1, 1)
    axes = {"image": {0: "batch"}, "tile": {0: "batch"}}
    axes |= {name: {0: "tiles"} for name in ("map_mean", "map_inv_std")}
    return GraphIO(inputs={**inputs, **constants}, outputs=ScoreOutputs._fields, axes=axes)


def maps_io(golden: Golden) -> GraphIO:
    """Input and outputs of the error maps' graph."""
    image = torch.from_numpy(golden.images[:2])
    return GraphIO(inputs={"image": image}, outputs=MAPS_OUTPUTS, axes={"image": {0: "batch"}})


def _graph_facts(config: RunConfig, folder: Path) -> dict[str, Any]:
    """What the manifest says about the graphs."""
    n_pixels = config.generator.size**2
    return {
        "scores": describe_graph(folder / "graph_fp32.onnx"),
        "maps": describe_graph(folder / "maps_fp32.onnx"),
        "top_k": {s.value: top_k(s, n_pixels) for s in config.scoring.statistics},
    }


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
    return {"python": platform.python_version(), **packages}
