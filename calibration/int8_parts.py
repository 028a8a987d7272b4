"""Which parts of a graph may be INT8, and which of them hold the budget: a search by measurement.

    modules (encoder, decoder, heads), each alone -> each block of those that do not hold it
    -> all that do together -> without the worst, until they hold it together

Products of two activations (attention, merging) are never INT8: they have no constant weights. Nor
are the fill, the backbone, its whitening and scoring, which gain nothing or are thousands of
budgets away (docs/decisions/0013).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgeinspect.calibration.quantising import PRODUCTS
from edgeinspect.node_names import module_of
from edgeinspect.parity import Budget, ParityReport

if TYPE_CHECKING:
    import onnx

__all__ = ["Choice", "Part", "Trial", "choose_parts", "graph_parts"]

MODULES = {
    "encoder": ("generator.encoder",),
    "decoder": ("generator.form",),
    "heads": ("generator.head", "generator.feature_head"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Products that become INT8 together; `blocks` are the parts of a module."""

    name: str
    nodes: tuple[str, ...]
    blocks: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How far a graph with these parts in INT8 was from the FP32 graph.

    `excess` counts in budgets: 1 uses up all of it.
    """

    parts: tuple[str, ...]
    report: ParityReport
    excess: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The parts that hold the budget together, none if there are no such; all trials in order."""

    parts: tuple[Part, ...]
    report: ParityReport | None
    trials: tuple[Trial, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(node for part in self.parts for node in part.nodes)


Judge = Callable[[Sequence[Part]], ParityReport]


def graph_parts(model: onnx.ModelProto) -> tuple[Part, ...]:
    """The modules whose products have constant weights, in the order of `MODULES`."""
    constants = {t.name: len(t.dims) for t in model.graph.initializer}
    nodes = [node for node in model.graph.node if _has_weights(node, constants)]
    found = (_module(name, prefixes, nodes) for name, prefixes in MODULES.items())
    return tuple(part for part in found if part.nodes)


def _has_weights(node: Any, constants: dict[str, int]) -> bool:
    """A convolution, or tokens @ matrix."""
    if node.op_type not in PRODUCTS:
        return False
    n_dims = constants.get(node.input[1])
    return n_dims is not None and (node.op_type == "Conv" or n_dims == 2)


def _module(name: str, prefixes: tuple[str, ...], nodes: Sequence[Any]) -> Part:
    by_block: dict[str, list[str]] = {}
    for node in nodes:
        for prefix in prefixes:
            if f"{module_of(node)}.".startswith(f"{prefix}."):
                by_block.setdefault(_block(module_of(node), prefix), []).append(node.name)
    blocks = tuple(Part(name=block, nodes=tuple(found)) for block, found in by_block.items())
    return Part(name=name, nodes=tuple(n for b in blocks for n in b.nodes), blocks=blocks)


def _block(module: str, prefix: str) -> str:
    """Such as `generator.encoder.blocks.0`: up to the first number, else one name deep."""
    inner = module[len(prefix) + 1 :].split(".")
    depth = next((i + 1 for i, word in enumerate(inner) if word.isdigit()), 1)
    return ".".join([prefix, *inner[:depth]]).rstrip(".")


def choose_parts(modules: Sequence[Part], judge: Judge, budget: Budget) -> Choice:
    """Search, as above. `judge` measures a graph with some parts in INT8."""
    trials: list[Trial] = []

    def judged(parts: Sequence[Part]) -> Trial:
        report = judge(parts)
        names = tuple(part.name for part in parts)
        trials.append(Trial(parts=names, report=report, excess=_excess(report, budget)))
        return trials[-1]

    def that_hold(parts: Sequence[Part]) -> Iterator[tuple[float, Part]]:
        for part in parts:
            trial = judged([part])
            if trial.report.is_within:
                yield trial.excess, part
            elif len(part.blocks) > 1:
                yield from that_hold([replace(block, blocks=()) for block in part.blocks])

    left = list(that_hold(modules))
    while left:
        parts = tuple(part for _, part in left)
        report = trials[-1].report if len(trials) == 1 else judged(parts).report
        if report.is_within:
            return Choice(parts=parts, report=report, trials=tuple(trials))
        left.remove(max(left, key=lambda pair: pair[0]))
    return Choice(parts=(), report=None, trials=tuple(trials))


def _excess(report: ParityReport, budget: Budget) -> float:
    """The larger of what scores and maps lose, in units of what the budget lets them lose."""
    loose = (1 - report.map_correlation) / (1 - budget.map_correlation)
    return max(report.score_error / budget.score_error, loose)
