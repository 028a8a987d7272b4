"""What the oldest TensorRT parser reads, checked on the graph alone.

TensorRT 10.3 (JetPack 6) is had on its box only, so its documented limits are looked for here:
on the machine that exports, and again before an engine is built. Source: operators.md of
onnx-tensorrt 8.4 to 10.15, where they agree, and the release notes of 10.x.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeinspect.config import TOP_K_LIMIT
from edgeinspect.errors import ExportError

if TYPE_CHECKING:
    import onnx

__all__ = ["IR_VERSION", "LIMIT_HINT", "OPSET", "check_operators", "float_products"]

OPSET = 20
IR_VERSION = 10
LIMIT_HINT = "a limit of these settings or of this torch; please report it with the run's settings"

# Those that graphs of ours and backbones of timm use; control flow, scatters and operators with
# data-dependent shapes are left out on purpose, `Attention` is younger than opset 20.
_KNOWN_NAMES = (
    "Abs Add And ArgMax AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape",
    "Conv Div Equal Erf Exp Expand Flatten Gather GatherElements Gelu Gemm GlobalAveragePool",
    "Greater HardSigmoid HardSwish Identity LayerNormalization LeakyRelu Less Log MatMul Max",
    "MaxPool Min Mul Neg Not Or Pad Pow Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin",
    "ReduceSum Relu Reshape Resize Shape Sigmoid Slice Softmax Softplus Split Sqrt Squeeze Sub",
    "Tanh Tile TopK Transpose Unsqueeze Where",
)
_KNOWN = frozenset(name for line in _KNOWN_NAMES for name in line.split())
# Input that must be a constant: of the axes of what is reduced, cut or reshaped.
_CONSTANT_INPUT = {
    "Conv": 1,
    "Pad": 1,
    "ReduceL2": 1,
    "ReduceMax": 1,
    "ReduceMean": 1,
    "ReduceMin": 1,
    "ReduceSum": 1,
    "Slice": 3,
    "Squeeze": 1,
    "TopK": 1,
    "Unsqueeze": 1,
}
_RESIZE = {
    "mode": {"nearest", "linear"},
    "coordinate_transformation_mode": {
        "half_pixel",
        "pytorch_half_pixel",
        "tf_half_pixel_for_nn",
        "asymmetric",
        "align_corners",
    },
    "nearest_mode": {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"},
}
_TYPES = frozenset({"float32", "float16", "int32", "int64", "bool"})  # uint8: at the ends only


def check_operators(model: onnx.ModelProto, name: str) -> None:
    """Hold a graph to what engines read. Raises: ExportError naming the first node that is not.

    Args:
        name: of the graph, for the message.
    """
    opsets = [opset.version for opset in model.opset_import]
    if model.ir_version != IR_VERSION or opsets != [OPSET]:
        raise ExportError(f"{name} has IR {model.ir_version}, opset {opsets}", hint=LIMIT_HINT)
    for node in model.graph.node:
        if node.op_type not in _KNOWN or node.domain:
            what = f"{node.domain or 'an ONNX'} {node.op_type}"
            raise ExportError(
                f"{name}: {node.name} is {what}, which engines refuse", hint=LIMIT_HINT
            )
    facts = _Facts.of(model)
    for node in model.graph.node:
        for problem in _problems(node, facts):
            raise ExportError(f"{name}: {node.name} {problem}", hint=LIMIT_HINT)


def float_products(model: onnx.ModelProto) -> list[str]:
    """Names of the matrix products in FP32, which TensorRT-RTX refuses for Turing (SM75)."""
    types = _Facts.of(model).types
    return [
        node.name
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm") and types.get(node.output[0]) == "float32"
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """Constants of a graph by name, and the type of every tensor that is known."""

    constants: Mapping[str, Any]
    types: Mapping[str, str]
    ends: frozenset[str]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> _Facts:
        import onnx

        graph = onnx.shape_inference.infer_shapes(model).graph
        values = (*graph.input, *graph.value_info, *graph.output)
        types = {v.name: _type_name(v.type.tensor_type.elem_type) for v in values}
        types |= {tensor.name: _type_name(tensor.data_type) for tensor in graph.initializer}
        constants: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                constants[node.output[0]] = node.attribute[0].t
        ends = frozenset(value.name for value in (*graph.input, *graph.output))
        return cls(constants=constants, types=types, ends=ends)


def _type_name(kind: int) -> str:
    from onnx import helper

    return str(helper.tensor_dtype_to_np_dtype(kind).name)


def _problems(node: Any, facts: _Facts) -> Iterator[str]:
    """What engines refuse about a node, in words that follow its name."""
    place = _CONSTANT_INPUT.get(node.op_type)
    is_given = place is not None and len(node.input) > place and node.input[place]
    if is_given and node.input[place] not in facts.constants:
        yield f"has a {node.op_type} whose input {place} is not a constant"
    if node.op_type == "TopK":
        yield from _top_k_problems(node, facts)
    if node.op_type == "Resize":
        yield from _resize_problems(node)
    if node.op_type in ("LayerNormalization", "MaxPool") and len(node.output) > 1:
        yield f"has a {node.op_type} with more than one output"
    for tensor in (*node.input, *node.output):
        kind = facts.types.get(tensor, "float32")
        if kind not in _TYPES and not (kind == "uint8" and tensor in facts.ends):
            yield f"has {tensor} of type {kind}"


def _top_k_problems(node: Any, facts: _Facts) -> Iterator[str]:
    from onnx import numpy_helper

    attributes = {a.name: a.i for a in node.attribute}
    if attributes.get("sorted", 1) != 1:
        yield "has a TopK that does not sort"
    k = facts.constants.get(node.input[1])
    if k is not None and int(numpy_helper.to_array(k).item()) > TOP_K_LIMIT:
        found = int(numpy_helper.to_array(k).item())
        yield f"has a TopK of {found}, engines take at most {TOP_K_LIMIT}"


def _resize_problems(node: Any) -> Iterator[str]:
    for attribute in node.attribute:
        value = attribute.s.decode()
        if attribute.name in _RESIZE and value not in _RESIZE[attribute.name]:
            yield f"has a Resize with {attribute.name} {value}"
