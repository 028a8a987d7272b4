"""Two tiny ONNX graphs, written byte by byte: a matrix product and an element-wise copy.

What the box can do at most is measured with the runtime that is judged, in its own threads and
precision. The base install has no package that writes ONNX, and these graphs need none: a handful
of fields of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["copy_graph", "product_graph"]

IR_VERSION, OPSET = 8, 17
FLOAT, FLOAT16 = 1, 10  # TensorProto.DataType
_VARINT, _BYTES = 0, 2  # wire types


def product_graph(side: int, *, is_half: bool = False) -> bytes:
    """`left` @ `right` -> `result`, all (side, side)."""
    shape = (side, side)
    kind = FLOAT16 if is_half else FLOAT
    inputs = [_value("left", kind, shape), _value("right", kind, shape)]
    return _model(_node("MatMul", ("left", "right")), inputs, _value("result", kind, shape))


def copy_graph(n_values: int) -> bytes:
    """-`left` -> `result`, both (n_values,) FP32: each value is read once and written once."""
    shape = (n_values,)
    inputs = [_value("left", FLOAT, shape)]
    return _model(_node("Neg", ("left",)), inputs, _value("result", FLOAT, shape))


def _model(node: bytes, inputs: Sequence[bytes], output: bytes) -> bytes:
    graph = _bytes(1, node) + _bytes(2, b"peak")
    graph += b"".join(_bytes(11, value) for value in inputs) + _bytes(12, output)
    opset = _bytes(1, b"") + _number(2, OPSET)
    return _number(1, IR_VERSION) + _bytes(7, graph) + _bytes(8, opset)


def _node(kind: str, inputs: Sequence[str]) -> bytes:
    names = b"".join(_bytes(1, name.encode()) for name in inputs)
    return names + _bytes(2, b"result") + _bytes(4, kind.encode())


def _value(name: str, kind: int, shape: Sequence[int]) -> bytes:
    dims = b"".join(_bytes(1, _number(1, length)) for length in shape)
    tensor = _number(1, kind) + _bytes(2, dims)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _bytes(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first, the top bit set on all but the last."""
    groups = []
    while True:
        value, low = value >> 7, value & 0x7F
        groups.append(low | (0x80 if value else 0))
        if not value:
            return bytes(groups)
