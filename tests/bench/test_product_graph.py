"""Graphs that are written without a package: real ONNX, and they compute what they say."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgeinspect.bench.product_graph import copy_graph, product_graph


@pytest.mark.parametrize("is_half", [False, True])
def test_the_product_is_one(is_half: bool) -> None:
    graph = product_graph(300, is_half=is_half)  # lengths of more than seven bits
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    kind = np.float16 if is_half else np.float32
    left = np.random.default_rng(0).random((300, 300)).astype(kind)
    (found,) = ort.InferenceSession(graph).run(None, {"left": left, "right": left})
    assert found.dtype == kind
    assert np.allclose(found, left.astype(np.float32) @ left.astype(np.float32), rtol=2e-2)


def test_the_copy_reads_and_writes_each_value() -> None:
    graph = copy_graph(1000)
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    values = np.arange(1000, dtype=np.float32)
    (found,) = ort.InferenceSession(graph).run(None, {"left": values})
    assert (found == -values).all()
