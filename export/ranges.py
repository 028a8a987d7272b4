"""How large the numbers in a graph become on pictures: what FP16 must be able to hold.

Between the FP32 graph and its FP16 form. Each tensor's largest magnitude is made an output of a
copy of the graph, so that no tensor ever leaves ONNX Runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeinspect.parity import Golden

if TYPE_CHECKING:
    import onnx

__all__ = ["largest_magnitudes"]


def largest_magnitudes(model: onnx.ModelProto, golden: Golden) -> dict[str, float]:
    """The largest magnitude of every FP32 tensor between nodes, on the golden images.

    Args:
        model: the scoring graph in FP32, its weights inside.
    Returns: by tensor; infinite where one is not finite.
    """
    import onnxruntime

    names, probe = _with_magnitudes(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    largest = np.zeros(len(names))
    constants = golden.constants.as_inputs()
    for index in range(len(golden.images)):
        one = slice(index, index + 1)
        inputs = {"image": golden.images[one], "tile": golden.tile[one], **constants}
        found = np.array(session.run(None, inputs), dtype=np.float64)
        largest = np.fmax(largest, np.where(np.isfinite(found), found, np.inf))
    return {name: float(value) for name, value in zip(names, largest, strict=True)}


def _with_magnitudes(model: onnx.ModelProto) -> tuple[list[str], onnx.ModelProto]:
    """The tensors measured, and a model that answers max |x| of each instead."""
    import onnx
    from onnx import TensorProto, helper

    probe = onnx.ModelProto()
    probe.CopyFrom(onnx.shape_inference.infer_shapes(model))
    graph = probe.graph
    made = {name for node in graph.node for name in node.output}
    values = (*graph.value_info, *graph.output)
    names = [
        v.name
        for v in values
        if v.name in made and v.type.tensor_type.elem_type == TensorProto.FLOAT
    ]
    del graph.output[:]
    for name in names:
        graph.node.append(helper.make_node("Abs", [name], [f"{name}/abs"]))
        graph.node.append(
            helper.make_node("ReduceMax", [f"{name}/abs"], [f"{name}/largest"], keepdims=0)
        )
        graph.output.append(helper.make_tensor_value_info(f"{name}/largest", TensorProto.FLOAT, []))
    return names, probe
