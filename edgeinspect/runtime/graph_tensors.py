"""What goes into an ONNX graph and comes out, and whether a session's arrays fit.

The adapters of ONNX Runtime and OpenVINO describe their open graph in the same words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeinspect.errors import EngineError
from edgeinspect.runtime.session import Floats

__all__ = ["FLOAT", "GraphTensors"]

FLOAT = "float"

Tensors = Mapping[str, tuple[str, tuple[int | str, ...]]]  # {name: (type, shape)}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphTensors:
    """Types and shapes by name; an axis of any length is a text.

    Types are ONNX's, such as `FLOAT` or "uint8".
    """

    path: Path
    inputs: Tensors
    outputs: Tensors

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the `image` input."""
        shape = self.inputs["image"][1]
        return int(shape[1]), int(shape[2])

    def require(self, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Raise EngineError unless the graph has these inputs and outputs."""
        lacking = [n for n in inputs if n not in self.inputs]
        lacking += [n for n in outputs if n not in self.outputs]
        unknown = [n for n in self.inputs if n not in inputs]
        if lacking or unknown:
            raise EngineError(
                f"{self.path} is not a graph that this version runs: it lacks"
                f" {', '.join(lacking) or 'nothing'}, has {', '.join(unknown) or 'nothing'}"
                " besides",
                hint="export the bundle again with this version",
            )

    def check_constants(self, arrays: Mapping[str, Floats]) -> None:
        """Each constant must have the graph's dtype and, where that is fixed, its shape."""
        for name, array in arrays.items():
            dtype, shape = self.inputs[name]
            is_fit = len(shape) == array.ndim and all(
                not isinstance(want, int) or want == got
                for want, got in zip(shape, array.shape, strict=False)
            )
            if not is_fit or dtype != FLOAT:
                raise EngineError(
                    f"the constant {name} is float32 {array.shape}, {self.path.name} takes"
                    f" {dtype} {shape}",
                    hint="calibrate the bundle again",
                )
