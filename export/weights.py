"""One file of weights for all graphs of a bundle.

The graphs are the same generator with different ends. Each tensor is written once, by its
content, and both graphs point into the file (ONNX external data), which halves a bundle.
ONNX Runtime and TensorRT's parser read it when they are given the graph's path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = ["move_weights"]

LEAST_BYTES = 1024  # smaller tensors, such as shapes, stay in the graph
ALIGNMENT = 4096  # so that they can be mapped into memory


def move_weights(models: Iterable[onnx.ModelProto], path: Path) -> None:
    """Move the tensors of models to one new file; the models must be saved beside it."""
    from onnx import external_data_helper, numpy_helper

    offsets: dict[bytes, int] = {}
    with path.open("wb") as file:
        for model in models:
            for tensor in model.graph.initializer:
                array = numpy_helper.to_array(tensor)
                if array.nbytes < LEAST_BYTES:
                    continue
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))  # as raw bytes
                key = hashlib.sha256(tensor.raw_data).digest()
                if key not in offsets:
                    file.write(b"\0" * (-file.tell() % ALIGNMENT))
                    offsets[key] = file.tell()
                    file.write(tensor.raw_data)
                external_data_helper.set_external_data(
                    tensor, path.name, offset=offsets[key], length=len(tensor.raw_data)
                )
                tensor.ClearField("raw_data")
