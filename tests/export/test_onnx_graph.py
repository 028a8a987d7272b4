"""What is refused before it reaches a box, on small graphs made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeinspect.errors import ExportError
from edgeinspect.export.onnx_graph import GraphIO, check_operators, cut_part, export_graph

IO = GraphIO(inputs={"x": torch.zeros(2, 4)}, outputs=("y",), axes={"x": {0: "batch"}})


def make_model(kind: str, k: int | None = 3, *, opset: int = 20, ir: int = 10) -> ModelProto:
    """One node of `kind`; a TopK of a constant k, or of an input where k is None."""
    values = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("x", "y")}
    asked = helper.make_tensor_value_info("k", TensorProto.INT64, [1])
    constants = [] if k is None else [numpy_helper.from_array(np.array([k]), "k")]
    inputs = [values["x"]] if constants else [values["x"], asked]
    nodes = [helper.make_node(kind, ["x", "k"], ["y", "index"])]
    graph = helper.make_graph(nodes, "g", inputs, [values["y"]], constants)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, ir_version=ir, opset_imports=opsets)


@pytest.mark.parametrize("kind", ["ScatterND", "If", "NonZero", "Attention", "SequenceAt"])
def test_operators_that_engines_refuse_are_named(kind: str) -> None:
    with pytest.raises(ExportError, match=f"part needs {kind}, which engines refuse"):
        check_operators(make_model(kind), "part")


def test_a_constant_top_k_below_the_limit_is_fine() -> None:
    check_operators(make_model("TopK", 3839), "part")


def test_a_top_k_that_is_too_large_is_named() -> None:
    with pytest.raises(ExportError, match="a TopK of 3840, engines take at most 3839"):
        check_operators(make_model("TopK", 3840), "part")


def test_a_top_k_that_varies_is_named() -> None:
    with pytest.raises(ExportError, match="a TopK whose K is not a constant"):
        check_operators(make_model("TopK", None), "part")


@pytest.mark.parametrize("version", [{"opset": 23}, {"ir": 11}])
def test_a_graph_newer_than_the_oldest_engine_reads_is_named(version: dict[str, int]) -> None:
    with pytest.raises(ExportError, match="has IR"):
        check_operators(make_model("TopK", **version), "part")


class Branching(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.sum() > 0 else x


def test_a_module_that_cannot_be_exported_is_an_export_error() -> None:
    with pytest.raises(ExportError, match="the graph could not be made"):
        export_graph(Branching(), IO)


class Fixed(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.repeat(len(x), 1)


def test_a_batch_that_became_fixed_is_an_export_error() -> None:
    with pytest.raises(ExportError, match="the batch of x became fixed at 2"):
        export_graph(Fixed(), IO)


def test_a_part_that_is_not_there_is_an_export_error() -> None:
    with pytest.raises(ExportError, match=r"part\.onnx could not be made"):
        cut_part(make_model("TopK"), "part.onnx", inputs=["x"], outputs=["nothing"], axes={})
