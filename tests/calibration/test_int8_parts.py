"""Which parts become INT8: a search that measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgeinspect.calibration.int8_parts import Choice, Part, choose_parts, graph_parts
from edgeinspect.parity import FP16_BUDGET, ImageParity, ParityReport

BLOCKS = tuple(Part(name=f"decoder.{i}", nodes=(f"b{i}",)) for i in range(4))
ENCODER = Part(name="encoder", nodes=("e",))
DECODER = Part(name="decoder", nodes=("b0", "b1", "b2", "b3"), blocks=BLOCKS)

Judge = Callable[[Sequence[Part]], ParityReport]


def report(score_error: float, correlation: float = 1.0) -> ParityReport:
    image = ImageParity(
        name="a",
        is_tie=False,
        score_error=score_error,
        map_error=0.0,
        map_correlation=correlation,
        has_other_scale=False,
    )
    return ParityReport.of([image], FP16_BUDGET)


def adding_up(errors: Mapping[str, float]) -> Judge:
    """The error of a graph is the sum over its nodes."""
    return lambda parts: report(sum(errors.get(n, 0.0) for part in parts for n in part.nodes))


def choose(errors: Mapping[str, float]) -> Choice:
    return choose_parts((ENCODER, DECODER), adding_up(errors), FP16_BUDGET)


def names(choice: Choice) -> list[str]:
    return [part.name for part in choice.parts]


def test_whole_modules_are_taken_where_they_hold_the_budget() -> None:
    choice = choose({"e": 0.001, "b0": 0.002})
    assert names(choice) == ["encoder", "decoder"]
    assert choice.nodes == ("e", "b0", "b1", "b2", "b3")
    assert choice.report is not None
    assert choice.report.score_error == pytest.approx(0.003)


def test_a_block_that_hurts_stays_fp32_and_its_neighbours_do_not() -> None:
    choice = choose({"b2": 0.02})
    assert names(choice) == ["encoder", "decoder.0", "decoder.1", "decoder.3"]


def test_each_block_is_tried_only_where_its_module_does_not_hold_the_budget() -> None:
    tried = [trial.parts for trial in choose({"b2": 5.0}).trials]
    assert tried[:2] == [("encoder",), ("decoder",)]
    assert tried[2:6] == [(block.name,) for block in BLOCKS]
    assert tried[6:] == [("encoder", "decoder.0", "decoder.1", "decoder.3")]


def test_parts_that_hold_it_alone_but_not_together_lose_the_worst() -> None:
    choice = choose({"e": 0.006, "b0": 0.008})
    assert names(choice) == ["encoder"]
    assert choice.trials[-2].parts == ("encoder", "decoder")


def test_a_map_that_no_longer_correlates_counts_as_well() -> None:
    def judge(parts: Sequence[Part]) -> ParityReport:
        return report(0.0, 0.9 if "e" in parts[0].nodes else 1.0)

    choice = choose_parts((ENCODER, DECODER), judge, FP16_BUDGET)
    assert names(choice) == ["decoder"]
    assert choice.trials[0].excess == pytest.approx(100)


def test_nothing_is_chosen_where_nothing_holds_the_budget() -> None:
    choice = choose({"e": 1.0, "b0": np.inf, "b1": 0.02, "b2": 0.02, "b3": 0.02})
    assert (choice.parts, choice.report) == ((), None)


def graph() -> onnx.ModelProto:
    """Named as the exporter does; only its nodes and constants are looked at."""
    weights = numpy_helper.from_array(np.ones((2, 2), np.float32), "w")
    kernel = numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), "k")
    of_each = [
        ("generator.fill.scales.0/MatMul_0", "MatMul", "w", "x"),
        ("generator.encoder.embedding.proj/Conv_1", "Conv", "x", "k"),
        ("generator.encoder.blocks.0.attention/MatMul_2", "MatMul", "x", "x"),
        ("generator.encoder.blocks.0.mlp.fc1/MatMul_3", "MatMul", "x", "w"),
        ("generator.encoder.blocks.10.mlp.fc1/MatMul_4", "MatMul", "x", "w"),
        ("generator.head/MatMul_5", "MatMul", "x", "w"),
        ("generator.targets.backbone.network.bn1/Conv_6", "Conv", "x", "k"),
        ("generator.targets.whiten/MatMul_6", "MatMul", "x", "w"),
        ("scoring/Conv_7", "Conv", "x", "k"),
    ]
    nodes = [helper.make_node(kind, inputs, [name], name=name) for name, kind, *inputs in of_each]
    return helper.make_model(helper.make_graph(nodes, "g", [], [], [weights, kernel]))


def test_only_products_with_weights_in_the_generator_may_be_int8() -> None:
    encoder, heads = graph_parts(graph())
    assert [block.name for block in encoder.blocks] == [
        "generator.encoder.embedding",
        "generator.encoder.blocks.0",
        "generator.encoder.blocks.10",
    ]
    assert len(encoder.nodes) == 3
    assert heads.nodes == ("generator.head/MatMul_5",)
    assert heads.blocks[0].name == "generator.head"
