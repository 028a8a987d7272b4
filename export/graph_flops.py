"""Floating-point operations of an exported graph for one image, by node.

A multiply-add is two operations; matrix products and convolutions count, as in `benchmarks.flops`.
What a constant takes part in is folded before, so what is saved by constant masks is not there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["describe_work", "flops_by_node", "flops_by_type"]

PRODUCTS = ("MatMul", "Gemm", "Conv")


def flops_by_node(model: onnx.ModelProto) -> dict[str, int]:
    """Operations of each matrix product and convolution, by the node's name, for one image."""
    return {node.name: flops for node, flops in _products(_static(model))}


def flops_by_type(model: onnx.ModelProto) -> dict[str, int]:
    """Operations by the type of their result, such as `float16`."""
    static, totals = _static(model), Counter[str]()
    types = _types(static)
    for node, flops in _products(static):
        totals[types[node.output[0]].name] += flops
    return dict(totals)


def describe_work(path: Path) -> dict[str, int]:
    """What a call of a graph costs at least, as a manifest carries it.

    `flop_per_image` as above; `weight_bytes` are read once a call; `value_bytes_per_image` are
    what its matrix products and convolutions read and write besides, which no fusion of
    element-wise steps saves.
    """
    import onnx

    static = _static(onnx.load(path, load_external_data=False))
    products, shapes, types = _products(static), _shapes(static), _types(static)
    sizes = {name: math.prod(shape) * types[name].itemsize for name, shape in shapes.items()}
    constants = {tensor.name for tensor in static.graph.initializer}
    values = [name for node, _ in products for name in (*node.input, *node.output) if name]
    return {
        "flop_per_image": sum(flops for _, flops in products),
        "weight_bytes": sum(sizes[name] for name in constants),
        "value_bytes_per_image": sum(sizes[name] for name in values if name not in constants),
    }


def _static(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph for one image and one tile position, every shape known."""
    import onnx

    static = onnx.ModelProto()
    static.CopyFrom(model)
    del static.graph.value_info[:]
    for value in (*static.graph.input, *static.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.dim_value = 1
    return onnx.shape_inference.infer_shapes(static, strict_mode=True, data_prop=True)


def _products(static: onnx.ModelProto) -> list[tuple[Any, int]]:
    """Nodes that multiply, with their operations."""
    shapes = _shapes(static)
    nodes = (node for node in static.graph.node if node.op_type in PRODUCTS)
    return [(node, _flops(node, shapes)) for node in nodes]


def _types(static: onnx.ModelProto) -> dict[str, np.dtype[Any]]:
    from onnx import helper

    graph = static.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    kinds = {v.name: v.type.tensor_type.elem_type for v in values}
    kinds |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {name: helper.tensor_dtype_to_np_dtype(kind) for name, kind in kinds.items()}


def _shapes(static: onnx.ModelProto) -> dict[str, list[int]]:
    graph = static.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    return shapes | {tensor.name: list(tensor.dims) for tensor in graph.initializer}


def _flops(node: Any, shapes: Mapping[str, list[int]]) -> int:
    n_results = math.prod(shapes[node.output[0]])
    assert n_results, f"the shape of {node.output[0]} is not known"
    if node.op_type == "Conv":
        _out, *products = shapes[node.input[1]]  # (out, in of a group, kernel)
        return 2 * n_results * math.prod(products)
    n_products = shapes[node.input[0]][-1]
    if any(attribute.name == "transA" and attribute.i for attribute in node.attribute):
        n_products = shapes[node.input[0]][0]
    return 2 * n_results * n_products
