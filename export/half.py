"""The FP16 graph: the FP32 graph with every tensor given its type, by module and operator.

    products, attention and what lies between    FP16, in the modules of HALF_MODULES
    LayerNorm, long sums, roots and logarithms   FP32 in between
    preprocessing, fill, backbone and whitening,
    smoothing, scoring                           FP32; matrix products as convolutions

Types are in the file: no engine is told a precision, so the same graph builds on every TensorRT
(docs/decisions/0008). The node names of `export.onnx_graph` say which module a node belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeinspect.errors import ExportError
from edgeinspect.export.products import left_product, right_product
from edgeinspect.node_names import module_of

if TYPE_CHECKING:
    import onnx

__all__ = ["HALF_MODULES", "LARGEST_HALF", "RANGE_LIMIT", "half_graph", "is_half_module"]

HALF_MODULES = (
    "generator.encoder",
    "generator.form",
    "generator.head",
    "generator.feature_head",
)
LARGEST_HALF = 65504.0
RANGE_LIMIT = LARGEST_HALF / 4  # a tensor that reaches it on good pictures stays FP32
SMALLEST_HALF = 2.0**-14  # below it numbers lose digits

_IN_FLOAT = frozenset(
    {"LayerNormalization", "ReduceMean", "ReduceSum", "ReduceL2", "Exp", "Log", "Pow", "Sqrt"}
)
# These only move numbers: outside of HALF_MODULES they keep the type of what they move.
_MOVES = frozenset(
    {"Concat", "Expand", "Gather", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)
_N_TYPED = {"Resize": 1}  # inputs that have the operator's type; scales are always FP32


def half_graph(model: onnx.ModelProto, largest: Mapping[str, float]) -> onnx.ModelProto:
    """The same graph in FP16, with its inputs and outputs as they are.

    Args:
        model: in FP32, its weights inside, nodes named by `export.onnx_graph`.
        largest: the largest magnitude of each tensor on pictures; see `export.ranges`.
    Raises: ExportError if a constant such as an epsilon would not survive.
    """
    import onnx

    half = onnx.ModelProto()
    half.CopyFrom(onnx.shape_inference.infer_shapes(model))
    _Typing(half.graph, largest).apply(half.graph)
    del half.graph.value_info[:]
    half = onnx.shape_inference.infer_shapes(half, strict_mode=True)
    onnx.checker.check_model(half, full_check=True)
    return half


def is_half_module(module: str) -> bool:
    """Whether products of a module, or of the one that it is in, are FP16."""
    return any(module == half or module.startswith(f"{half}.") for half in HALF_MODULES)


class _Typing:
    """Types the nodes of a graph in order, with a cast where two types meet."""

    def __init__(self, graph: onnx.GraphProto, largest: Mapping[str, float]) -> None:
        from onnx import TensorProto, numpy_helper

        self.float, self.half = int(TensorProto.FLOAT), int(TensorProto.FLOAT16)
        self.constants = {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in graph.initializer
            if tensor.data_type == self.float
        }
        values = (*graph.input, *graph.value_info, *graph.output)
        floats = [v for v in values if v.type.tensor_type.elem_type == self.float]
        self.type_of: dict[str, int] = {value.name: self.float for value in floats}
        self.shapes = {
            v.name: [d.dim_value or -1 for d in v.type.tensor_type.shape.dim] for v in floats
        }
        sizes = {**largest, **{n: np.abs(a).max(initial=0) for n, a in self.constants.items()}}
        self.is_far = {name for name, size in sizes.items() if not size < RANGE_LIMIT}
        self.nodes: list[Any] = []
        self.typed_constants: dict[str, Any] = {}

    def apply(self, graph: onnx.GraphProto) -> None:
        """Rewrite the nodes and constants of a graph."""
        for node in graph.node:
            kind = self._kind(node)
            if kind == self.float and self._becomes_convolution(node):
                continue
            self._type(node, kind)
        others = [t for t in graph.initializer if t.data_type != self.float]
        for value in graph.output:
            assert self.type_of.get(value.name) != self.half, f"{value.name} became FP16"
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend([*others, *self.typed_constants.values()])

    def _kind(self, node: Any) -> int:
        if node.op_type in _IN_FLOAT or self.is_far.intersection((*node.input, *node.output)):
            return self.float
        if is_half_module(module_of(node)):
            return self.half
        if node.op_type in _MOVES:
            return self.type_of.get(node.input[0], self.float)
        return self.float

    def _type(self, node: Any, kind: int) -> None:
        """Give one node its type: casts before it, and the type of what comes out."""
        n_typed = _N_TYPED.get(node.op_type, len(node.input))
        for place, name in enumerate(node.input):
            wanted = kind if place < n_typed else self.float
            if name in self.constants:
                node.input[place] = self._constant(name, wanted)
            elif name in self.type_of:
                node.input[place] = self._cast(name, wanted)
        if node.op_type == "Cast" and node.output[0] in self.type_of:
            node.attribute[0].i = kind
        self.type_of.update((name, kind) for name in node.output if name in self.type_of)
        self.nodes.append(node)

    def _becomes_convolution(self, node: Any) -> bool:
        """Replace a product with a constant matrix; other FP32 products are left as they are."""
        if node.op_type != "MatMul":
            return False
        left, right = (self.constants.get(name) for name in node.input)
        other = node.input[1] if left is not None else node.input[0]
        if left is not None and left.ndim == 2:
            node.input[1] = self._cast(other, self.float)
            nodes, constants = left_product(node, left, self.shapes[other])
        elif right is not None and right.ndim == 2 and len(self.shapes[other]) >= 3:
            node.input[0] = self._cast(other, self.float)
            nodes, constants = right_product(node, right, self.shapes[other])
        else:
            return False
        self.nodes += nodes
        self.typed_constants.update((tensor.name, tensor) for tensor in constants)
        return True

    def _cast(self, name: str, kind: int) -> str:
        """The name under which a tensor has a type."""
        from onnx import helper

        if self.type_of[name] == kind:
            return name
        cast = f"{name}/{'fp16' if kind == self.half else 'fp32'}"
        if cast not in self.type_of:
            self.nodes.append(helper.make_node("Cast", [name], [cast], name=cast, to=kind))
            self.type_of[cast] = kind
        return cast

    def _constant(self, name: str, kind: int) -> str:
        from onnx import numpy_helper

        array, typed = self.constants[name], name
        if kind == self.half:
            _require_survival(name, array)
            array, typed = array.astype(np.float16), f"{name}/fp16"
        if typed not in self.typed_constants:
            self.typed_constants[typed] = numpy_helper.from_array(array, typed)
        return typed


def _require_survival(name: str, array: np.ndarray[Any, Any]) -> None:
    """A single number, such as an epsilon, must be one in FP16 too; of many, some may vanish."""
    if array.size == 1 and 0 < abs(array.item()) < SMALLEST_HALF:
        raise ExportError(
            f"the constant {name} is {array.item():g}, which FP16 does not hold",
            hint="a limit of these settings; please report it with the run's settings",
        )
