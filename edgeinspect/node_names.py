"""What nodes of our graphs are called: `module/operator`, such as `generator.head/MatMul_81`.

`export.onnx_graph` names them so; whoever types or quantises a graph reads the module from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = ["module_of"]


def module_of(node: onnx.NodeProto) -> str:
    """The module that a node was exported from, such as `generator.encoder.blocks.0.mlp.fc1`.

    "" outside of all modules, and of nodes that simplifying the graph made, which have none.
    """
    module, slash, _operator = node.name.partition("/")
    return module if slash else ""
