"""The module `onnxruntime` as a build with CUDA: it computes on the CPU, as strict as the GPU's.

Values live on the "cuda" device and change only through `update_inplace`; a run that replays a
CUDA graph must have the very values bound that the session's one graph was captured with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edgeinspect.runtime.onnxruntime_graph import CPU, CUDA


class FakeValue:
    """`OrtValue`."""

    def __init__(self, array: np.ndarray, device: str) -> None:
        assert device == "cuda", "a value is not where the graph runs"
        self.array = array.copy()

    @classmethod
    def ortvalue_from_numpy(cls, array: np.ndarray, device: str) -> FakeValue:
        return cls(array, device)

    def update_inplace(self, array: np.ndarray) -> None:
        assert array.shape == self.array.shape
        assert array.dtype == self.array.dtype
        self.array[:] = array

    def numpy(self) -> np.ndarray:
        return self.array.copy()

    def shape(self) -> list[int]:
        return list(self.array.shape)


class FakeBinding:
    """`IOBinding`."""

    def __init__(self) -> None:
        self.inputs: dict[str, FakeValue] = {}
        self.outputs: dict[str, FakeValue] = {}

    def bind_ortvalue_input(self, name: str, value: FakeValue) -> None:
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: FakeValue) -> None:
        self.outputs[name] = value


class FakeSession:
    """`InferenceSession` on CUDA."""

    def __init__(self, module: FakeOnnxRuntime, path: Path, provider: tuple[str, Any]) -> None:
        self.module = module
        self.name, self.options = provider
        self.real = onnxruntime.InferenceSession(path, providers=[CPU])
        self.captured: list[int] = []

    def get_providers(self) -> list[str]:
        return [CPU] if self.module.falls_back else [self.name, CPU]

    def get_inputs(self) -> Any:
        return self.real.get_inputs()

    def get_outputs(self) -> Any:
        return self.real.get_outputs()

    def io_binding(self) -> FakeBinding:
        return FakeBinding()

    def run_with_iobinding(self, binding: FakeBinding) -> None:
        if self.options["enable_cuda_graph"] == "1":
            values = [id(v) for v in (*binding.inputs.values(), *binding.outputs.values())]
            self.captured = self.captured or values
            assert self.captured == values, "an address has changed, or there is a second graph"
        feeds = {name: value.array for name, value in binding.inputs.items()}
        answers = self.real.run(list(binding.outputs), feeds)
        for value, answer in zip(binding.outputs.values(), answers, strict=True):
            value.update_inplace(answer)


class FakeOnnxRuntime:
    """The module."""

    OrtValue = FakeValue
    SessionOptions = onnxruntime.SessionOptions
    GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel
    set_default_logger_severity = staticmethod(onnxruntime.set_default_logger_severity)

    def __init__(
        self, *, providers: tuple[str, ...] = (CUDA, CPU), falls_back: bool = False
    ) -> None:
        self.providers = providers
        self.falls_back = falls_back
        self.sessions: list[FakeSession] = []
        self.preloaded: list[Any] = []

    def get_available_providers(self) -> list[str]:
        return list(self.providers)

    def preload_dlls(
        self, cuda: bool = True, cudnn: bool = True, directory: str | None = None
    ) -> None:
        self.preloaded.append((cuda, cudnn, directory))
        print("cannot load libcudnn.so.9")

    def InferenceSession(self, path: Path, options: Any, providers: list[Any]) -> FakeSession:  # noqa: N802 (its name)
        self.sessions.append(FakeSession(self, path, providers[0]))
        return self.sessions[-1]
