"""Where the FP16 graph casts and what it keeps, on graphs of a few nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeinspect.errors import ExportError
from edgeinspect.export.half import RANGE_LIMIT, half_graph, is_half_module

INSIDE, OUTSIDE = "generator.encoder.blocks.0", "generator"
WEIGHT = np.arange(16, dtype=np.float32).reshape(4, 4) / 16


def make_model(
    *nodes: Any, shape: tuple[int | str, ...] = ("b", 3, 4), **constants: Any
) -> ModelProto:
    """x to y in FP32; nodes are (module, operator, inputs, output, attributes)."""
    made = [
        helper.make_node(kind, inputs, [out], name=f"{module}/{kind}_{i}", **keys)
        for i, (module, kind, inputs, out, keys) in enumerate(nodes)
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
        for name, size in (("x", shape), ("y", None))
    ]
    tensors = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    graph = helper.make_graph(made, "g", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def product_then_scale(module: str, weight: Any = WEIGHT) -> ModelProto:
    return make_model(
        (module, "MatMul", ["x", "w"], "h", {}), (OUTSIDE, "Mul", ["h", "s"], "y", {}),
        w=weight, s=np.float32(3),
    )  # fmt: skip


def types_of(model: ModelProto) -> dict[str, str]:
    """The type of what each node gives, by its operator."""
    kinds = {
        v.name: v.type.tensor_type.elem_type for v in (*model.graph.value_info, *model.graph.output)
    }
    names = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16"}
    return {n.op_type: names[kinds[n.output[0]]] for n in model.graph.node if n.op_type != "Cast"}


def run(model: ModelProto, x: Any) -> Any:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("generator.encoder", True),
        ("generator.form.blocks.1.mlp.fc1", True),
        ("generator.formed", False),
        ("generator.fill.scales.0", False),
        ("generator.targets.backbone", False),
        ("", False),
    ],
)
def test_the_network_is_fp16_and_what_surrounds_it_is_not(module: str, expected: bool) -> None:
    assert is_half_module(module) is expected


def test_a_product_of_the_network_is_fp16_and_scoring_is_not() -> None:
    assert types_of(half_graph(product_then_scale(INSIDE), {})) == {"MatMul": "fp16", "Mul": "fp32"}


def test_layer_norm_is_fp32_between_fp16() -> None:
    model = make_model(
        (INSIDE, "MatMul", ["x", "w"], "h", {}),
        (INSIDE, "LayerNormalization", ["h", "one"], "n", {}),
        (INSIDE, "Gelu", ["n"], "g", {}),
        (OUTSIDE, "Abs", ["g"], "y", {}),
        w=WEIGHT, one=np.ones(4, np.float32),
    )  # fmt: skip
    found = types_of(half_graph(model, {}))
    assert found == {"MatMul": "fp16", "LayerNormalization": "fp32", "Gelu": "fp16", "Abs": "fp32"}


def test_what_only_moves_numbers_keeps_their_type() -> None:
    model = make_model(
        (INSIDE, "MatMul", ["x", "w"], "h", {}),
        (OUTSIDE, "Transpose", ["h"], "t", {"perm": [0, 2, 1]}),
        (OUTSIDE, "Abs", ["t"], "y", {}),
        w=WEIGHT,
    )
    assert types_of(half_graph(model, {}))["Transpose"] == "fp16"


@pytest.mark.parametrize("name", ["x", "h"])
def test_a_product_near_the_limit_of_fp16_stays_fp32(name: str) -> None:
    half = half_graph(product_then_scale(INSIDE), {name: RANGE_LIMIT})
    assert "fp16" not in types_of(half).values()


def test_a_tensor_that_is_not_finite_stays_fp32() -> None:
    half = half_graph(product_then_scale(INSIDE), {"h": float("inf")})
    assert "fp16" not in types_of(half).values()


def test_a_weight_that_fp16_does_not_hold_stays_fp32() -> None:
    half = half_graph(product_then_scale(INSIDE, WEIGHT * 1e6), {})
    assert "fp16" not in types_of(half).values()
    x = np.ones((1, 3, 4), np.float32)
    assert run(half, x) == pytest.approx(x @ (WEIGHT * 1e6) * 3)


def test_a_single_constant_that_fp16_loses_is_an_error() -> None:
    nodes = (INSIDE, "Add", ["x", "eps"], "h", {}), (OUTSIDE, "Abs", ["h"], "y", {})
    model = make_model(*nodes, eps=np.float32(1e-12))
    with pytest.raises(ExportError, match="the constant eps is 1e-12, which FP16 does not hold"):
        half_graph(model, {})


def test_a_tensor_is_cast_once_for_all_that_read_it() -> None:
    model = make_model(
        (INSIDE, "MatMul", ["x", "w"], "a", {}),
        (INSIDE, "Gelu", ["x"], "b", {}),
        (INSIDE, "Add", ["a", "b"], "h", {}),
        (OUTSIDE, "Abs", ["h"], "y", {}),
        w=WEIGHT,
    )
    half = half_graph(model, {})
    assert [n.output[0] for n in half.graph.node if n.op_type == "Cast"] == ["x/fp16", "h/fp32"]


@pytest.mark.parametrize("inner", [(3, 4), (2, 3, 4), (2, 5, 3, 4)], ids=str)
def test_an_fp32_product_with_a_matrix_on_its_right_becomes_a_convolution(
    inner: tuple[int, ...],
) -> None:
    model = make_model(
        (OUTSIDE, "MatMul", ["x", "w"], "h", {}), (OUTSIDE, "Abs", ["h"], "y", {}),
        shape=("b", *inner), w=WEIGHT[:, :3],
    )  # fmt: skip
    half = half_graph(model, {})
    assert not [n for n in half.graph.node if n.op_type == "MatMul"]
    x = np.random.default_rng(0).normal(size=(2, *inner)).astype(np.float32)
    assert run(half, x) == pytest.approx(run(model, x), abs=1e-5)


def test_an_fp32_product_with_a_matrix_on_its_left_becomes_a_convolution() -> None:
    weight = np.arange(15, dtype=np.float32).reshape(5, 3) / 15
    model = make_model(
        (OUTSIDE, "MatMul", ["w", "x"], "h", {}), (OUTSIDE, "Abs", ["h"], "y", {}),
        shape=("b", 2, 3, 4), w=weight,
    )  # fmt: skip
    half = half_graph(model, {})
    assert not [n for n in half.graph.node if n.op_type == "MatMul"]
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype(np.float32)
    assert run(half, x) == pytest.approx(run(model, x), abs=1e-5)


def test_the_fp32_graph_is_left_as_it_was() -> None:
    model = product_then_scale(INSIDE)
    before = model.SerializeToString()
    half_graph(model, {})
    assert model.SerializeToString() == before


def test_two_runs_give_the_same_bytes() -> None:
    first, second = (half_graph(product_then_scale(INSIDE), {}) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )
