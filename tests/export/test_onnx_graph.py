"""What the exporter must not do, on small modules."""

from __future__ import annotations

import onnxruntime
import pytest
import torch

from edgeinspect.config import Equalisation
from edgeinspect.errors import ExportError
from edgeinspect.export.onnx_graph import GraphIO, cut_part, export_graph
from edgeinspect.model.equalise import equalise
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


class Equalised(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return equalise(x, Equalisation.SPREAD)


def test_onnx_runtime_equalises_flat_grey_images_as_exactly_as_torch() -> None:
    """Its mean of all values of an image is off by 1e-5, which a small spread magnifies."""
    noise = torch.randn(2, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    images = ((0.4 + 0.02 * noise) * 255).round().repeat(1, 3, 1, 1) / 255
    io = GraphIO(inputs={"x": images}, outputs=("y",), axes={"x": {0: "batch"}})
    model = export_graph(Equalised(), io).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": images.numpy()})
    expected = equalise(images.double(), Equalisation.SPREAD)
    assert abs(torch.from_numpy(found) - expected).max() < 2e-5
