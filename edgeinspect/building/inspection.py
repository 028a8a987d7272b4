"""What an engine's layers compute in, from the network or from the engine inspector's JSON.

TensorRT 10 writes a tensor's type and format as one text ("Half", "Row major linear FP16
format"); TensorRT 11 has them apart, under other names. Both are read; fused attention is known
by the kernel's name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from edgeinspect.engines import Layers
from edgeinspect.errors import EngineError

__all__ = ["layers_of_engine", "layers_of_network"]

_TYPE_FIELDS = ("Format/Datatype", "DataType", "Datatype", "Format")
_SIGNS = (  # of a type in a text, in the order they are looked for
    ("other", ("uint8",)),
    ("int8", ("int8",)),
    ("fp16", ("half", "fp16")),
    ("other", ("bf16", "bfloat", "fp8", "int32", "int64", "bool")),
    ("fp32", ("float", "fp32")),
)
_ATTENTION = ("mha", "fmha", "flash_attention", "fused_attention")


def layers_of_network(types: Iterable[str]) -> Layers:
    """Counts of a parsed network, from the type of each layer's output (`output_types`)."""
    return _layers([_kind(text) for text in types], is_of_engine=False)


def layers_of_engine(text: str) -> Layers:
    """Counts of an engine, from what the inspector says.

    A layer counts as what its first input of a floating-point type is.
    Raises: EngineError if that is no JSON of a form that is known.
    """
    try:
        layers = json.loads(text)["Layers"]
        detailed = [layer for layer in layers if isinstance(layer, Mapping)]
        kinds = [_kind_of_layer(layer) for layer in detailed]
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(
            "the engine inspector's answer is of a form that is not known",
            hint="please report it with TensorRT's version",
        ) from error
    n_attention = sum(_is_attention(layer) for layer in detailed)
    return _layers(kinds, is_of_engine=True, n_attention=n_attention)


def _layers(kinds: list[str], *, is_of_engine: bool, n_attention: int | None = None) -> Layers:
    counts = Counter(kinds)
    return Layers(
        is_of_engine=is_of_engine,
        n_fp16=counts["fp16"],
        n_fp32=counts["fp32"],
        n_int8=counts["int8"],
        n_other=counts["other"],
        n_fused_attention=n_attention,
    )


def _kind_of_layer(layer: Mapping[str, Any]) -> str:
    tensors = [*layer.get("Inputs", ()), *layer.get("Outputs", ())]
    kinds = [_kind(_type_text(tensor)) for tensor in tensors]
    return next((kind for kind in kinds if kind != "other"), "other")


def _type_text(tensor: Mapping[str, Any]) -> str:
    return next((str(tensor[name]) for name in _TYPE_FIELDS if name in tensor), "")


def _kind(text: str) -> str:
    words = text.lower()
    return next((kind for kind, signs in _SIGNS if any(s in words for s in signs)), "other")


def _is_attention(layer: Mapping[str, Any]) -> bool:
    words = f"{layer.get('Name', '')} {layer.get('TacticName', '')}".lower()
    return any(sign in words for sign in _ATTENTION)
