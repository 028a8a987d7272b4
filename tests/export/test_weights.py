"""Weights of several graphs in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeinspect.export.onnx_graph import save_graphs

LARGE = np.arange(2048, dtype=np.float32)


def make_model(**constants: np.ndarray) -> onnx.ModelProto:
    """A graph that hands out its constants."""
    nodes = [helper.make_node("Identity", [n], [f"{n}_out"]) for n in constants]
    outputs = [
        helper.make_tensor_value_info(f"{n}_out", TensorProto.FLOAT, None) for n in constants
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "g", [], outputs, weights))


def test_a_tensor_that_two_graphs_share_is_written_once(tmp_path: Path) -> None:
    models = {"a.onnx": make_model(first=LARGE), "b.onnx": make_model(second=LARGE.copy())}
    save_graphs(models, tmp_path, weights="w.bin")
    assert (tmp_path / "w.bin").stat().st_size == LARGE.nbytes
    assert (tmp_path / "a.onnx").stat().st_size < 1000


def test_every_graph_reads_its_own_tensors_back(tmp_path: Path) -> None:
    constants = {"large": LARGE, "other": LARGE[::-1].copy(), "small": LARGE[:3]}
    models = {"a.onnx": make_model(large=LARGE), "b.onnx": make_model(**constants)}
    save_graphs(models, tmp_path, weights="w.bin")
    found = onnx.load(tmp_path / "b.onnx").graph.initializer
    for tensor in found:
        assert np.array_equal(numpy_helper.to_array(tensor), constants[tensor.name])
