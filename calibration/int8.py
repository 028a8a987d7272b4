"""An INT8 graph for a bundle, kept only where it is faster here and as close as FP16 must be.

    good pictures -> half give ranges, half (and copies with pasted defects) are held to the FP32
    graph, beside the golden images -> parts that hold the budget -> a race against FP32
    -> graph_int8.onnx and what was measured, in the manifest

It is made on the box: whether INT8 pays depends on its CPU. Recalibration needs no new one, since
constants stay inputs. `edgeinspect calibrate --int8` is this module after a calibration.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.calibration.int8_parts import Choice, Part, choose_parts, graph_parts
from edgeinspect.calibration.int8_pictures import Int8Images, Int8Pictures, load_int8_pictures
from edgeinspect.calibration.int8_store import FP32_FILES, GRAPH, install_int8
from edgeinspect.calibration.quantising import int8_graph, load_graph, require_quantiser
from edgeinspect.calibration.training_pictures import untrained_pictures
from edgeinspect.config import Precision, ScoringConfig
from edgeinspect.constants import Calibration, RuleConstants
from edgeinspect.errors import CalibrationError
from edgeinspect.numbers import json_plain
from edgeinspect.parity import (
    Golden,
    ParityReport,
    ScoreUnits,
    budget_of,
    compare_images,
)
from edgeinspect.progress import OnProgress, no_progress
from edgeinspect.runtime.onnxruntime_session import OnnxRuntimeSession
from edgeinspect.runtime.session import Scores, infer_all

__all__ = ["Int8Result", "Race", "Speedup", "add_int8"]

LEAST_SPEEDUP = 1.05  # below, two measurements of the same graph differ as much
BUDGET = budget_of(Precision.INT8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """Time of one call in FP32 : in INT8, with its 95 % interval; above 1 INT8 is faster."""

    value: float
    low: float
    high: float


Race = Callable[[Callable[[], object], Callable[[], object]], Speedup]  # of FP32, of INT8


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Result:
    """What came of it: the graph is in the bundle, or `why_not` says in words what it would be.

    `parts` are in INT8; without any, `report` and `speedup` are None.
    """

    parts: tuple[str, ...]
    report: ParityReport | None
    speedup: Speedup | None
    why_not: str | None

    def plain(self) -> dict[str, Any]:
        """JSON types only; stable keys."""
        return {**asdict(self), "is_kept": self.why_not is None}


def add_int8(
    path: Path,
    good: list[Path],
    *,
    race: Race,
    allow_training_pictures: bool = False,
    skip_training_pictures: bool = False,
    seed: int = 0,
    threads: int | None = None,
    on_progress: OnProgress = no_progress,
) -> Int8Result:
    """Make a calibrated bundle's INT8 graph; an earlier one goes if none is kept.

    Args:
        race: measures two calls against each other on this machine.
        seed: of the defects pasted onto good pictures.
        threads: of the CPU; None leaves it to the runtime.
    Raises: MissingPackageError without the package onnx; NotCalibratedError; CalibrationError for
        too few pictures, or those that trained the model; BundleError, OutputError, EngineError.
        The bundle is then as it was.
    """
    require_quantiser()
    bundle = read_bundle(path)
    calibration = bundle.require_calibration()
    usable = untrained_pictures(
        good,
        bundle.manifest.provenance,
        allow=allow_training_pictures,
        skip=skip_training_pictures,
    )
    pictures = load_int8_pictures(
        list(usable),
        bundle.config.preprocess,
        n_positions=calibration.constants.n_tiles,
        seed=seed,
    )
    with _workshop(bundle) as graph:
        golden, scoring = Golden.load(bundle.golden_path), bundle.config.scoring
        proof = _Proof(graph, calibration, scoring, golden, pictures, threads)
        choice = _choose(graph, proof, on_progress)
        result = _judged(choice, proof, race)
        made = proof.make(choice.parts) if result.why_not is None else None
        record = _record(bundle, result, choice, pictures)
        install_int8(bundle, None if made is None else made.read_bytes(), record)
    return result


@contextlib.contextmanager
def _workshop(bundle: Bundle) -> Iterator[Path]:
    """The FP32 graph and its weights in a folder where others may be made beside it."""
    with tempfile.TemporaryDirectory() as folder:
        for name in FP32_FILES:
            if name in bundle.manifest.files:
                shutil.copyfile(bundle.path / name, Path(folder) / name)
        yield Path(folder) / FP32_FILES[0]


class _Proof:
    """Graphs with parts in INT8 against the FP32 graph (pictures) and PyTorch (golden images)."""

    def __init__(
        self,
        graph: Path,
        calibration: Calibration,
        scoring: ScoringConfig,
        golden: Golden,
        pictures: Int8Pictures,
        threads: int | None,
    ) -> None:
        self._graph, self._golden, self._threads = graph, golden, threads
        self._scoring, self._constants = scoring, calibration.constants
        self._units = ScoreUnits.of(calibration)
        self._proof = pictures.proof
        constants = self._constants.as_inputs()
        self._feeds = [
            {"image": image[None], "tile": tile[None], **constants}
            for image, tile in zip(pictures.ranges.images, pictures.ranges.tile, strict=True)
        ]
        self._expected = self._answers(graph, pictures.proof, self._constants)

    def make(self, parts: Sequence[Part]) -> Path:
        """The graph with these parts in INT8."""
        path = self._graph.with_name(GRAPH)
        nodes = [node for part in parts for node in part.nodes]
        path.write_bytes(int8_graph(self._graph, nodes, self._feeds))
        return path

    def judge(self, parts: Sequence[Part]) -> ParityReport:
        """With the band of scores held, no verdict flips outside of it either."""
        graph, golden = self.make(parts), self._golden
        images = compare_images(
            self._expected,
            self._answers(graph, self._proof, self._constants),
            self._constants,
            BUDGET,
            n_placed=self._scoring.n_placed,
            mean_index=self._scoring.mean_index,
            units=self._units,
            names=self._proof.names,
        )
        answers = self._answers(graph, golden, golden.constants)
        images += compare_images(
            golden, answers, golden.constants, BUDGET, n_placed=golden.n_placed, names=golden.names
        )
        return ParityReport.of(images, BUDGET)

    def _answers(self, graph: Path, asked: Int8Images | Golden, constants: RuleConstants) -> Scores:
        with OnnxRuntimeSession(graph, constants, threads=self._threads) as session:
            return infer_all(session, asked.images, asked.tile, batch=1)

    def race(self, parts: Sequence[Part], race: Race) -> Speedup:
        """One image a call, FP32 against these parts in INT8."""
        image, tile = self._proof.images[:1], self._proof.tile[:1]
        made, constants, threads = self.make(parts), self._constants, self._threads
        with (
            OnnxRuntimeSession(self._graph, constants, threads=threads) as fp32,
            OnnxRuntimeSession(made, constants, threads=threads) as int8,
        ):
            return race(lambda: fp32.infer(image, tile), lambda: int8.infer(image, tile))


def _choose(graph: Path, proof: _Proof, on_progress: OnProgress) -> Choice:
    modules = graph_parts(load_graph(graph))
    if not modules:
        raise CalibrationError(
            "the bundle's graph does not name its modules, so none can be made INT8",
            hint="export the bundle again with this version",
        )
    n_tried = 0

    def judge(parts: Sequence[Part]) -> ParityReport:
        nonlocal n_tried
        report = proof.judge(parts)
        n_tried += 1
        on_progress("INT8 parts", n_tried, max(n_tried, len(modules) + 1))
        return report

    return choose_parts(modules, judge, BUDGET)


def _judged(choice: Choice, proof: _Proof, race: Race) -> Int8Result:
    """Whether what holds the budget is faster as well."""
    names = tuple(part.name for part in choice.parts)
    if not names:
        nearest = min(choice.trials, key=lambda trial: trial.excess)
        why = f"no part holds the budgets; the nearest, {nearest.parts[0]}:"
        why = f"{why} {'; '.join(nearest.report.problems)}"
        return Int8Result(parts=(), report=None, speedup=None, why_not=why)
    speedup = proof.race(choice.parts, race)
    why_not = None
    if speedup.low <= 1 or speedup.value < LEAST_SPEEDUP:
        why_not = (
            f"it would be {speedup.value:.2f} times as fast here (95 %: {speedup.low:.2f} to"
            f" {speedup.high:.2f}), with {', '.join(names)} in INT8"
        )
    return Int8Result(parts=names, report=choice.report, speedup=speedup, why_not=why_not)


def _record(
    bundle: Bundle, result: Int8Result, choice: Choice, pictures: Int8Pictures
) -> dict[str, Any]:
    """What the manifest says about the graph, JSON types only."""
    record = {
        "parts": list(result.parts),
        "n_products": len(choice.nodes),
        "parity": None if result.report is None else asdict(result.report),
        "speedup": None if result.speedup is None else asdict(result.speedup),
        "calibration": bundle.manifest.calibration,
        "pictures": pictures.facts(),
        "trials": [
            {"parts": list(t.parts), "excess": t.excess, "score_error": t.report.score_error}
            for t in choice.trials
        ],
    }
    plain: dict[str, Any] = json_plain(record)
    return plain
