"""Every form, target and merging: the graphs compute what PyTorch does, and engines take them.

Operators do not depend on depth: one encoder and one decoder block stand for all presets.
`benchmarks/build_all.py` has the presets at full depth.
"""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from edgeinspect.config import Precision
from edgeinspect.export.operators import check_operators, float_products
from edgeinspect.parity import FP16_BUDGET, FP32_BUDGET, Budget, Golden, compare_outputs
from edgeinspect.runtime.onnxruntime_session import OnnxRuntimeSession
from tests.rtx import build

from .conftest import Exported

BUDGETS = {Precision.FP32: FP32_BUDGET, Precision.FP16: FP16_BUDGET}


def parity_problems(made: Exported, precision: Precision, budget: Budget) -> tuple[str, ...]:
    golden = Golden.load(made.bundle.path / "golden.npz")
    path = made.bundle.graph_path(precision)
    with OnnxRuntimeSession(path, golden.constants, threads=1) as session:
        found = session.infer(golden.images, golden.tile)
    return compare_outputs(
        golden, found, golden.constants, budget, n_placed=golden.n_placed
    ).problems


@pytest.mark.parametrize("precision", list(BUDGETS))
def test_the_graph_computes_what_pytorch_does(each_variant: Exported, precision: Precision) -> None:
    assert parity_problems(each_variant, precision, BUDGETS[precision]) == ()


@pytest.mark.parametrize("precision", list(BUDGETS))
def test_the_oldest_parser_reads_the_graph(each_variant: Exported, precision: Precision) -> None:
    check_operators(onnx.load(each_variant.bundle.graph_path(precision)), precision.value)


@pytest.mark.tensorrt
def test_tensorrt_builds_the_fp16_graph_for_turing_and_ampere(each_variant: Exported) -> None:
    assert build(each_variant.bundle.graph_path(Precision.FP16)) > 0


def test_every_matrix_product_is_fp16(each_variant: Exported) -> None:
    model = onnx.load(each_variant.bundle.graph_path(Precision.FP16))
    assert float_products(model) == []


def test_both_graphs_have_the_same_inputs_and_outputs(each_variant: Exported) -> None:
    models = [onnx.load(each_variant.bundle.graph_path(p)) for p in BUDGETS]
    ends = [[*m.graph.input, *m.graph.output] for m in models]
    assert ends[0] == ends[1]


def test_no_tensor_of_a_small_network_comes_near_the_limit_of_fp16(each_variant: Exported) -> None:
    report = json.loads((each_variant.bundle.path / "precision.json").read_text(encoding="utf-8"))
    assert report["kept_fp32"] == report["float_products"] == []
    assert report["flops"]["float16"] > 0
    assert np.isfinite(list(report["largest"].values())).all()
