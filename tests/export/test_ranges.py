"""Magnitudes and the report about them, on real graphs."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
import pytest

from edgeinspect.config import Precision
from edgeinspect.export.half import RANGE_LIMIT, half_graph
from edgeinspect.export.precision import describe_precision
from edgeinspect.export.ranges import largest_magnitudes
from edgeinspect.parity import Golden

from .conftest import Exported


@pytest.fixture(scope="module")
def golden(exported: Exported) -> Golden:
    return Golden.load(exported.bundle.path / "golden.npz")


@pytest.fixture(scope="module")
def model(exported: Exported) -> onnx.ModelProto:
    return onnx.load(exported.bundle.graph_path(Precision.FP32))


def test_the_largest_magnitude_of_outputs_is_that_of_pytorch(
    model: onnx.ModelProto, golden: Golden
) -> None:
    largest = largest_magnitudes(model, golden)
    assert largest["anomaly_map"] == pytest.approx(np.abs(golden.anomaly_map).max(), rel=1e-4)
    assert largest["statistics"] == pytest.approx(np.abs(golden.statistics).max(), rel=1e-4)


def test_a_tensor_that_is_not_finite_counts_as_infinite(
    model: onnx.ModelProto, golden: Golden
) -> None:
    spoilt = np.full_like(golden.constants.map_mean, np.nan)
    constants = dataclasses.replace(golden.constants, map_mean=spoilt)
    largest = largest_magnitudes(model, dataclasses.replace(golden, constants=constants))
    assert largest["anomaly_map"] == np.inf


def first_of_the_encoder(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(n for n in model.graph.node if n.name.startswith("generator.encoder.blocks.0"))


def test_the_report_names_what_stays_fp32(model: onnx.ModelProto) -> None:
    far = first_of_the_encoder(model).output[0]
    report = describe_precision(half_graph(model, {far: RANGE_LIMIT}), {far: RANGE_LIMIT})
    assert report.kept_fp32 == (far,)


def test_the_report_in_the_bundle_has_every_magnitude_and_the_shares(exported: Exported) -> None:
    text = (exported.bundle.path / "precision.json").read_text(encoding="utf-8")
    report = json.loads(text)
    assert exported.bundle.manifest.files["precision.json"]
    assert report["half_share_of_flops"] > 0.5
    assert set(report["nodes"]) == {"float16", "float32"}
    assert len(report["largest"]) > 100
    assert list(report["largest"].values()) == sorted(report["largest"].values(), reverse=True)
