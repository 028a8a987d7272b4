"""What of a graph is FP16 and what is not, and how near its numbers come to FP16's limit.

The last step of typing, written into the bundle as `precision.json`: people read it, `build-engine`
compares the layers that it finds with it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edgeinspect.export.graph_flops import flops_by_type
from edgeinspect.export.half import LARGEST_HALF, RANGE_LIMIT, is_half_module
from edgeinspect.export.operators import float_products
from edgeinspect.node_names import module_of

if TYPE_CHECKING:
    import onnx

__all__ = ["PrecisionReport", "describe_precision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionReport:
    """Of the FP16 graph; types by their name in numpy.

    Attributes:
        flops: operations of one image, by type.
        nodes: nodes that give floating-point numbers, by type.
        float_products: matrix products in FP32; with any, no engine for SM75.
        kept_fp32: tensors of HALF_MODULES that stay FP32 because of their size.
        half_limit: what FP16 holds.
        range_limit: from where on a tensor stays FP32.
        largest: the largest magnitude of each tensor on the golden images, largest first.
    """

    flops: Mapping[str, int]
    nodes: Mapping[str, int]
    float_products: tuple[str, ...]
    kept_fp32: tuple[str, ...]
    half_limit: float
    range_limit: float
    largest: Mapping[str, float]

    @property
    def half_share(self) -> float:
        """The share of the operations that are FP16."""
        return self.flops.get("float16", 0) / max(1, sum(self.flops.values()))

    def to_json(self) -> str:
        plain = {**asdict(self), "half_share_of_flops": round(self.half_share, 4)}
        return json.dumps(plain, indent=1) + "\n"


def describe_precision(half: onnx.ModelProto, largest: Mapping[str, float]) -> PrecisionReport:
    """Read an FP16 graph.

    Args:
        largest: magnitudes of the tensors of its FP32 form, by name.
    """
    nodes = [node for node in half.graph.node if is_half_module(module_of(node))]
    inside = {name for node in nodes for name in (*node.input, *node.output)}
    ranked = sorted(largest.items(), key=lambda item: -item[1])
    # JSON knows no infinity; such a tensor is in kept_fp32 all the same.
    finite = {name: float(f"{size:.4g}") for name, size in ranked if size < float("inf")}
    return PrecisionReport(
        flops=flops_by_type(half),
        nodes=_nodes_by_type(half),
        float_products=tuple(float_products(half)),
        kept_fp32=tuple(n for n, size in ranked if n in inside and not size < RANGE_LIMIT),
        half_limit=LARGEST_HALF,
        range_limit=RANGE_LIMIT,
        largest=finite,
    )


def _nodes_by_type(model: onnx.ModelProto) -> dict[str, int]:
    from onnx import TensorProto

    names = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}
    values = (*model.graph.value_info, *model.graph.output)
    type_of = {value.name: value.type.tensor_type.elem_type for value in values}
    found = (names.get(type_of.get(node.output[0], 0)) for node in model.graph.node)
    return dict(Counter(name for name in found if name))
