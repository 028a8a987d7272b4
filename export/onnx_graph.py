"""torch -> ONNX. The only module that knows torch's exporter and the ONNX tools.

Written for torch 2.9 to 2.15 (`torch.onnx.export(dynamo=True)`). What engines refuse is looked
for (`export.operators`), so that it is found on the training machine and not on the box.
"""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edgeinspect.errors import ExportError, first_line
from edgeinspect.export.operators import LIMIT_HINT, OPSET, check_operators
from edgeinspect.export.weights import move_weights

if TYPE_CHECKING:
    import onnx

__all__ = [
    "GraphIO",
    "cut_part",
    "describe_graph",
    "export_graph",
    "save_graphs",
]

_log = logging.getLogger(__name__)

MAX_LENGTH = 1024  # of a dynamic axis
_SCOPES = "pkg.torch.onnx.name_scopes"  # of torch's exporter: a node's modules, then itself
_CHATTY = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")

Axes = Mapping[str, Mapping[int, str]]  # {input: {axis: name of an axis of any length}}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphIO:
    """Names of a graph's inputs and outputs, and their dynamic axes.

    Attributes:
        inputs: an example tensor of each input by name, in the order of the module's forward;
            a dynamic axis is 2 or longer in it.
        outputs: names, in the order of the module's answer.
        axes: those that may have any length.
    """

    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    axes: Axes


def export_graph(module: nn.Module, graph: GraphIO) -> onnx.ModelProto:
    """A module in evaluation mode as ONNX; 5 to 30 s. Raises: ExportError if that fails."""
    dims = {
        name: torch.export.Dim(name, min=1, max=MAX_LENGTH)
        for axes in graph.axes.values()
        for name in axes.values()
    }
    shapes = tuple(
        {axis: dims[dim] for axis, dim in graph.axes.get(name, {}).items()} for name in graph.inputs
    )
    with _failing_as("the graph"), torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module,
            tuple(graph.inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=shapes,
            verbose=False,
        )
        assert program is not None
        model: onnx.ModelProto = program.model_proto
    _name_nodes(model)
    _require_axes(model, graph.axes)
    return model


def _name_nodes(model: onnx.ModelProto) -> None:
    """Name each node `module/operator`: people and `node_names` see where it comes from.

    A node that the exporter says nothing about counts to the module of what it reads.
    """
    made_in: dict[str, str] = {}
    for index, node in enumerate(model.graph.node):
        facts = {fact.key: fact.value for fact in node.metadata_props}
        inside = next((made_in[name] for name in node.input if name in made_in), "")
        if _SCOPES in facts:
            *modules, _operator = ast.literal_eval(facts[_SCOPES])
            inside = modules[-1] if modules else ""
        node.name = f"{inside}/{node.op_type}_{index}"
        made_in.update(dict.fromkeys(node.output, inside))


def _require_axes(model: onnx.ModelProto, axes: Axes) -> None:
    """The exporter fixes, without a word, an axis whose length some code reads as a number."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for axis, name in axes.get(value.name, {}).items():
            if dims[axis].HasField("dim_value"):
                length = dims[axis].dim_value
                raise ExportError(
                    f"the {name} of {value.name} became fixed at {length}", hint=LIMIT_HINT
                )


def cut_part(
    model: onnx.ModelProto,
    name: str,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Axes,
) -> onnx.ModelProto:
    """The part of a model between these inputs and outputs, simplified and checked.

    Raises: ExportError if that fails, or TensorRT would refuse the part.
    """
    import onnx
    import onnx.utils

    with _failing_as(name):
        part = onnx.utils.Extractor(model).extract_model(list(inputs), list(outputs))
        part = _simplify(part)
        _name_axes(part, axes)
        onnx.checker.check_model(part, full_check=True)
    check_operators(part, name)
    return part


def save_graphs(models: Mapping[str, onnx.ModelProto], folder: Path, *, weights: str) -> None:
    """Write models by file name, and their weights into one file of the name `weights`."""
    move_weights(models.values(), folder / weights)
    for name, model in models.items():
        (folder / name).write_bytes(model.SerializeToString(deterministic=True))
        _log.debug("%s: %d nodes", name, len(model.graph.node))


@contextlib.contextmanager
def _failing_as(name: str) -> Iterator[None]:
    """Turn whatever the exporter and its tools raise into an ExportError."""
    try:
        yield
    except (ExportError, ModuleNotFoundError):
        raise
    except Exception as error:  # their errors share no narrower base
        cause: BaseException = error
        while cause.__cause__ is not None:  # the exporter wraps what went wrong in advice
            cause = cause.__cause__
        what = f"{name} could not be made: {first_line(cause)}"
        raise ExportError(what, hint=LIMIT_HINT) from error


# A product that becomes a Gemm loses the name of its module, and so its type in the FP16 graph.
_SKIPPED = ["fuse_matmul_add_bias_into_gemm", "fuse_matmul_add_bias_into_gemm_batched"]


def _simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxsim

    with _quiet():
        simple, is_same = onnxsim.simplify(model, skipped_optimizers=_SKIPPED)
    if not is_same:
        raise ExportError("the simplified graph computes something else", hint=LIMIT_HINT)
    simple.producer_name = "edgeinspect"
    for node in simple.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]  # where in our source each node comes from: long, and of no use
    result: onnx.ModelProto = simple
    return result


def _name_axes(model: onnx.ModelProto, axes: Axes) -> None:
    """Give dynamic axes the names asked for; the tools invent one where two inputs share one."""
    for value in model.graph.input:
        for axis, name in axes.get(value.name, {}).items():
            value.type.tensor_type.shape.dim[axis].dim_param = name


def describe_graph(path: Path) -> dict[str, dict[str, Any]]:
    """Inputs and outputs of a graph as a manifest carries them: dtype and shape by name."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    return {
        "inputs": {value.name: _describe(value) for value in model.graph.input},
        "outputs": {value.name: _describe(value) for value in model.graph.output},
    }


def _describe(value: Any) -> dict[str, Any]:
    import onnx

    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    return {"dtype": dtype, "shape": [d.dim_param or d.dim_value for d in kind.shape.dim]}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress off our output; its warnings are about itself."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
