"""Products with a constant matrix as 1 x 1 convolutions.

For the few matrix products that stay FP32 in the FP16 graph: TensorRT-RTX refuses FP32 matrix
products for Turing (SM75), and builds FP32 convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["left_product", "right_product"]

Matrix = np.ndarray[Any, Any]


def left_product(node: Any, matrix: Matrix, shape: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """matrix @ x: the rows of each of x's matrices are the channels of a convolution.

    Args:
        node: the MatMul, whose second input is x.
        matrix: (k, n).
        shape: of x, (..., n, W); -1 where a length is not known, which one may be.
    Returns: nodes that compute what `node` did, and their constants.
    """
    n_out, n_in = matrix.shape
    made = _Nodes(node.name)
    flat = made.add("Reshape", node.input[1], made.ints(-1, n_in, 1, shape[-1]))
    product = made.add("Conv", flat, made.constant(matrix.reshape(n_out, n_in, 1, 1)))
    whole = made.ints(*shape[:-2], n_out, shape[-1])
    made.add("Reshape", product, whole, out=node.output[0])
    return made.nodes, made.constants


def right_product(node: Any, matrix: Matrix, shape: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """x @ matrix: the columns of each of x's matrices are the channels of a convolution.

    Args:
        node: the MatMul, whose first input is x.
        matrix: (n, k).
        shape: of x, (..., N, n), three axes or more; -1 as in `left_product`.
    Returns: as `left_product`.
    """
    n_in, n_out = matrix.shape
    made, x = _Nodes(node.name), node.input[0]
    if len(shape) > 3:
        # All rows of an image at once: cuDNN takes transforms for many images of few pixels.
        n_rows = math.prod(shape[1:-1])
        x = made.add("Reshape", x, made.ints(-1, n_rows if n_rows > 0 else shape[-2], n_in))
    turned = made.add("Transpose", x, perm=[0, 2, 1])
    image = made.add("Unsqueeze", turned, made.ints(3))
    weight = made.constant(matrix.T.reshape(n_out, n_in, 1, 1))
    product = made.add("Conv", image, weight)
    flat = made.add("Squeeze", product, made.ints(3))
    if len(shape) > 3:
        tokens = made.add("Transpose", flat, perm=[0, 2, 1])
        made.add("Reshape", tokens, made.ints(*shape[:-1], n_out), out=node.output[0])
    else:
        made.add("Transpose", flat, out=node.output[0], perm=[0, 2, 1])
    return made.nodes, made.constants


class _Nodes:
    """Nodes and constants under the name of the one that they replace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, *inputs: str, out: str | None = None, **keys: Any) -> str:
        from onnx import helper

        name = f"{self.name}_{kind}{len(self.nodes)}"
        out = out or name
        self.nodes.append(helper.make_node(kind, inputs, [out], name=name, **keys))
        return out

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def constant(self, array: Matrix) -> str:
        from onnx import numpy_helper

        name = f"{self.name}_constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name
