"""What engines refuse is named on the machine that exports, on graphs made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeinspect.errors import ExportError
from edgeinspect.export.operators import check_operators, float_products


def make_model(
    kind: str,
    *constants: Any,
    opset: int = 20,
    ir: int = 10,
    element: int = TensorProto.FLOAT,
    n_outputs: int = 1,
    **attributes: Any,
) -> ModelProto:
    """One node of `kind` on x (2, 4) and constants; a None is an input of the graph."""
    names = [f"c{i}" for i in range(len(constants))]
    outputs = ["y", "z"][:n_outputs]
    inputs = [helper.make_tensor_value_info("x", element, [2, 4])]
    given = [n for n, value in zip(names, constants, strict=True) if value is None]
    inputs += [helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in given]
    fixed = [
        numpy_helper.from_array(np.array(value), name)
        for name, value in zip(names, constants, strict=True)
        if value is not None
    ]
    node = helper.make_node(kind, ["x", *names], outputs, name=f"module/{kind}", **attributes)
    ends = [helper.make_tensor_value_info("y", element, None)]
    graph = helper.make_graph([node], "g", inputs, ends, fixed)
    return helper.make_model(graph, ir_version=ir, opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize(
    "kind", ["ScatterND", "If", "Loop", "NonZero", "Attention", "SequenceAt", "Einsum"]
)
def test_an_operator_that_engines_refuse_is_named_with_its_node(kind: str) -> None:
    with pytest.raises(ExportError, match=f"part: module/{kind} is an ONNX {kind}"):
        check_operators(make_model(kind), "part")


def test_an_operator_of_another_domain_is_named() -> None:
    model = make_model("Gelu")
    model.graph.node[0].domain = "com.microsoft"
    with pytest.raises(ExportError, match=r"is com\.microsoft Gelu"):
        check_operators(model, "part")


def test_a_constant_top_k_below_the_limit_is_fine() -> None:
    check_operators(make_model("TopK", [3839], n_outputs=2), "part")


def test_a_top_k_that_is_too_large_is_named() -> None:
    with pytest.raises(ExportError, match="a TopK of 3840, engines take at most 3839"):
        check_operators(make_model("TopK", [3840], n_outputs=2), "part")


def test_a_top_k_that_does_not_sort_is_named() -> None:
    with pytest.raises(ExportError, match="a TopK that does not sort"):
        check_operators(make_model("TopK", [3], n_outputs=2, sorted=0), "part")


def test_a_top_k_that_varies_is_named() -> None:
    with pytest.raises(ExportError, match="has a TopK whose input 1 is not a constant"):
        check_operators(make_model("TopK", None, n_outputs=2), "part")


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceSum", "Squeeze", "Unsqueeze"])
def test_axes_that_vary_are_named(kind: str) -> None:
    with pytest.raises(ExportError, match=f"has a {kind} whose input 1 is not a constant"):
        check_operators(make_model(kind, None), "part")


def test_a_slice_along_axes_that_vary_is_named() -> None:
    with pytest.raises(ExportError, match="has a Slice whose input 3 is not a constant"):
        check_operators(make_model("Slice", [0], [1], None), "part")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("mode", "cubic"), ("coordinate_transformation_mode", "half_pixel_symmetric")],
)
def test_a_resize_that_engines_do_not_know_is_named(attribute: str, value: str) -> None:
    scales = np.ones(2, np.float32)
    model = make_model("Resize", np.zeros(0, np.float32), scales, **{attribute: value})
    with pytest.raises(ExportError, match=f"has a Resize with {attribute} {value}"):
        check_operators(model, "part")


def test_numbers_of_double_precision_are_named() -> None:
    with pytest.raises(ExportError, match="has x of type float64"):
        check_operators(make_model("Abs", element=TensorProto.DOUBLE), "part")


def test_a_second_output_of_a_norm_is_named() -> None:
    model = make_model("LayerNormalization", np.ones(4, np.float32), n_outputs=2)
    with pytest.raises(ExportError, match="a LayerNormalization with more than one output"):
        check_operators(model, "part")


@pytest.mark.parametrize("version", [{"opset": 23}, {"ir": 11}])
def test_a_graph_newer_than_the_oldest_engine_reads_is_named(version: dict[str, int]) -> None:
    with pytest.raises(ExportError, match="part has IR"):
        check_operators(make_model("Abs", **version), "part")


@pytest.mark.parametrize(
    ("element", "dtype", "expected"),
    [(TensorProto.FLOAT, np.float32, ["module/MatMul"]), (TensorProto.FLOAT16, np.float16, [])],
)
def test_matrix_products_in_fp32_are_found(element: int, dtype: Any, expected: list[str]) -> None:
    assert float_products(make_model("MatMul", np.eye(4, dtype=dtype), element=element)) == expected
