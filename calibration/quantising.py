"""A graph with some of its products in INT8: the one place that knows ONNX Runtime's quantiser.

Static Q/DQ: each input of a chosen product is rounded by a range that good pictures gave it, so
that a part's score depends on no other part of its batch. Weights have 7 bits: with 8 the sums of
CPUs without VNNI saturate, and the same graph would answer differently on them. Results of matrix
products stay FP32, which is faster and closer than rounding them again (docs/decisions/0013).
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.errors import CalibrationError, MissingPackageError, first_line

if TYPE_CHECKING:
    import onnx

__all__ = ["PRODUCTS", "Feed", "int8_graph", "load_graph", "require_quantiser"]

PRODUCTS = ("MatMul", "Conv")
_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")  # else the quantiser asks for its own

Feed = Mapping[str, NDArray[Any]]


def require_quantiser() -> None:
    """Raise MissingPackageError unless INT8 graphs can be made here."""
    if importlib.util.find_spec("onnx") is None:
        raise MissingPackageError("onnx", needed_for="an INT8 graph", extra="int8")


def load_graph(path: Path) -> onnx.ModelProto:
    """A graph with its weights inside."""
    import onnx

    return onnx.load(path)


def int8_graph(path: Path, nodes: Sequence[str], feeds: Sequence[Feed]) -> bytes:
    """The FP32 graph at `path` with these products in INT8, to be saved beside it.

    Args:
        nodes: names of products with a constant matrix or kernel, at least one.
        feeds: all inputs of the graph by name, of one image each; they give the ranges.
    Returns: a model that reads weights which stay FP32 from where the FP32 graph has them.
    Raises: CalibrationError if the quantiser refuses.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = load_graph(path)
    model.metadata_props.add(key=_PREPARED[0], value=_PREPARED[1])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "int8.onnx"
        try:
            quantize_static(
                model,
                out,
                _Feeds(feeds),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(PRODUCTS),
                nodes_to_quantize=list(nodes),
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
            )
            made = onnx.load(out)
            onnx.checker.check_model(made, full_check=True)
        except Exception as error:  # the quantiser's errors share no narrower base
            what = f"{path} cannot be made INT8: {first_line(error)}"
            raise CalibrationError(what) from error
    del made.metadata_props[:]
    made.producer_name = "edgeinspect"
    _share_weights(made, onnx.load(path, load_external_data=False))
    return bytes(made.SerializeToString(deterministic=True))


def _share_weights(made: onnx.ModelProto, fp32: onnx.ModelProto) -> None:
    """Let tensors that are as they were lie where they lay: in the FP32 graph's file."""
    outside = {t.name: t for t in fp32.graph.initializer if t.external_data}
    for tensor in made.graph.initializer:
        if tensor.name in outside:
            tensor.CopyFrom(outside[tensor.name])


class _Feeds:
    """What the quantiser takes inputs from, one after the other."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        feed = next(self._left, None)
        return None if feed is None else {k: np.ascontiguousarray(v) for k, v in feed.items()}
