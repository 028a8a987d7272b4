"""Faults planted into a bundle's graph, whose hashes then fit: what only parity can see."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Edit = Callable[[onnx.ModelProto], None]


def plant(bundle: Path, graph: str, edit: Edit) -> None:
    """Edit a graph of a bundle, and give the manifest its new hash."""
    path = bundle / graph
    model = onnx.load(path)
    edit(model)
    onnx.save_model(model, str(path), save_as_external_data=False)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][graph] = hashlib.sha256(path.read_bytes()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def change_one_weight(model: onnx.ModelProto, *, least: int = 1024, factor: float = -10.0) -> None:
    """The largest number of the last large weight, and no other."""
    tensors = [t for t in model.graph.initializer if np.prod(t.dims) >= least]
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
    tensor = [t for t in tensors if t.data_type in floats][-1]
    array = numpy_helper.to_array(tensor).copy()
    array.flat[np.abs(array).argmax()] *= factor
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def swap_colours(model: onnx.ModelProto) -> None:
    """BGR for RGB."""
    order = numpy_helper.from_array(np.array([2, 1, 0], np.int64), "swap_order")
    model.graph.initializer.append(order)
    put_after_input(model, "image", "Gather", "swap_order", axis=3)


def put_after_input(model: onnx.ModelProto, name: str, op: str, *more: str, **keys: Any) -> None:
    """Let all that reads an input read it through an operator."""
    for node in model.graph.node:
        for i, read in enumerate(node.input):
            if read == name:
                node.input[i] = f"planted_{name}"
    node = helper.make_node(op, [name, *more], [f"planted_{name}"], **keys)
    model.graph.node.insert(0, node)


def overflow(model: onnx.ModelProto, op: str = "MatMul") -> None:
    """One operator's answers go through FP16 at sizes that it does not hold, and come back."""
    scale = numpy_helper.from_array(np.array(1e6, np.float32), "planted_scale")
    model.graph.initializer.append(scale)
    index, node = [(i, n) for i, n in enumerate(model.graph.node) if n.op_type == op][-1]
    wanted, node.output[0] = node.output[0], "planted_0"
    steps = [
        helper.make_node("Cast", ["planted_0"], ["planted_1"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["planted_1", "planted_scale"], ["planted_2"]),
        helper.make_node("Cast", ["planted_2"], ["planted_3"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["planted_3"], ["planted_4"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["planted_4", "planted_scale"], ["planted_5"]),
        helper.make_node("Cast", ["planted_5"], [wanted], to=_type_of(model, wanted)),
    ]
    for step in reversed(steps):
        model.graph.node.insert(index + 1, step)


def _type_of(model: onnx.ModelProto, name: str) -> int:
    inferred = onnx.shape_inference.infer_shapes(model)
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        if value.name == name:
            return int(value.type.tensor_type.elem_type)
    return TensorProto.FLOAT


def wrong_mask(model: onnx.ModelProto) -> None:
    """The removed tokens of the first scale change places."""
    joining = [node for node in model.graph.node if node.name.startswith("joined/")][-1]
    (rows,) = [tensor for tensor in model.graph.initializer if tensor.name in joining.input]
    array = numpy_helper.to_array(rows).copy()
    n_of_scale = len(array) // 2
    array[:n_of_scale] = np.roll(array[:n_of_scale], 1)
    rows.CopyFrom(numpy_helper.from_array(array, rows.name))
