"""What the exporter must not do, on small modules."""

from __future__ import annotations

import pytest
import torch

from edgeinspect.errors import ExportError
from edgeinspect.export.onnx_graph import GraphIO, cut_part, export_graph
from edgeinspect.node_names import module_of

IO = GraphIO(inputs={"x": torch.zeros(2, 4)}, outputs=("y",), axes={"x": {0: "batch"}})


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


class Scaled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inside(x) * 3


def test_nodes_are_named_by_the_module_that_they_come_from() -> None:
    model = cut_part(export_graph(Scaled(), IO), "part", inputs=["x"], outputs=["y"], axes=IO.axes)
    modules = {node.op_type: module_of(node) for node in model.graph.node}
    assert modules == {"Gemm": "inside", "Mul": ""}
    assert len({node.name for node in model.graph.node}) == len(model.graph.node)


def test_a_part_that_is_not_there_is_an_export_error() -> None:
    with pytest.raises(ExportError, match=r"part\.onnx could not be made"):
        cut_part(export_graph(Scaled(), IO), "part.onnx", inputs=["x"], outputs=["z"], axes={})
