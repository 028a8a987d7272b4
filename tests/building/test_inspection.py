"""What the engine inspector of each version says, read as counts."""

from __future__ import annotations

import json

import pytest

from edgeinspect.building.inspection import layers_of_engine, layers_of_network
from edgeinspect.errors import EngineError


def _layer(name: str, kind: str, field: str = "Format/Datatype") -> dict[str, object]:
    tensor = {"Name": "x", "Dimensions": [1, 2], field: kind}
    return {"Name": name, "LayerType": "kgen", "Inputs": [tensor], "Outputs": [tensor]}


def _text(*layers: object) -> str:
    return json.dumps({"Layers": layers, "Bindings": ["image"]})


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("Half", "n_fp16"),
        ("Row major linear FP16 format", "n_fp16"),
        ("Float", "n_fp32"),
        ("Row major linear FP32 format (kLINEAR)", "n_fp32"),
        ("Thirty-two wide channel vectorized row major Int8 format.", "n_int8"),
        ("Int8", "n_int8"),
        ("UInt8", "n_other"),
        ("UINT8", "n_other"),
        ("Int32", "n_other"),
        ("BFloat16", "n_other"),
        ("N/A due to dynamic shapes", "n_other"),
    ],
)
def test_the_type_is_read_from_texts_of_every_version(kind, count):
    layers = layers_of_engine(_text(_layer("gemm", kind)))
    assert getattr(layers, count) == 1
    assert layers.n == 1


def test_a_type_in_a_field_of_its_own_is_read_as_well():
    layers = layers_of_engine(_text(_layer("gemm", "Half", field="DataType")))
    assert layers.n_fp16 == 1


def test_indices_do_not_make_a_layer_something_else_than_its_values():
    gather = {"Inputs": [{"Format/Datatype": "Int32"}, {"Format/Datatype": "Half"}], "Outputs": []}
    assert layers_of_engine(_text(gather)).n_fp16 == 1


@pytest.mark.parametrize("name", ["_gemm_mha_v2_myl0_17", "fmha_v2_flash_attention_fp16"])
def test_fused_attention_is_known_by_its_kernel(name):
    assert layers_of_engine(_text(_layer(name, "Half"), _layer("gemm", "Half"))) == (
        layers_of_engine(_text(_layer("gemm", "Half"), _layer(name, "Half")))
    )
    assert layers_of_engine(_text(_layer(name, "Half"))).n_fused_attention == 1


def test_layers_that_are_only_named_count_as_nothing():
    layers = layers_of_engine(_text("gemm", "softmax"))
    assert layers.n == 0
    assert layers.is_of_engine


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"Layers": 3}', '{"Layers": [{"Inputs": 1}]}'])
def test_a_form_that_is_not_known_is_an_error(text):
    with pytest.raises(EngineError, match="of a form that is not known"):
        layers_of_engine(text)


def test_a_network_is_counted_by_its_layers_outputs():
    layers = layers_of_network(["HALF", "HALF", "FLOAT", "INT64"])
    assert (layers.n_fp16, layers.n_fp32, layers.n_other) == (2, 1, 1)
    assert layers.n_fused_attention is None
