"""What is read from the names of a graph's nodes."""

from __future__ import annotations

import pytest
from onnx import helper

from edgeinspect.node_names import module_of


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("generator.head/MatMul_81", "generator.head"),
        ("/Add_12", ""),
        ("Reshape_2", ""),
        ("", ""),
    ],
)
def test_a_module_is_what_stands_before_the_operator(name: str, module: str) -> None:
    assert module_of(helper.make_node("Add", ["a", "b"], ["c"], name=name)) == module
