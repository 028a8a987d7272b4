"""The model in PyTorch: unoptimised as the baseline, in FP16, and compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.gpu.plan import COMPILED, SIX_PASSES, SIX_PASSES_TF32
from edgeinspect.bench.baseline import UnoptimisedModel, make_generator, unoptimised
from edgeinspect.config import RunConfig
from edgeinspect.constants import RuleConstants
from edgeinspect.export.golden import make_golden
from edgeinspect.export.graph import SCORE_OUTPUTS, InspectionGraph
from edgeinspect.parity import Golden
from edgeinspect.runtime.session import Scores
from edgeinspect.scoring import RuleInputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Eager:
    """A variant, and PyTorch's answers in FP32 on a CPU with the same weights."""

    infer: Callable[[NDArray[np.uint8], NDArray[np.int32]], Scores]
    golden: Golden


def open_eager(name: str, config: RunConfig, golden: Golden, device: str) -> Eager:
    """A variant by name; the baseline has weights and golden answers of its own."""
    if name in (SIX_PASSES, SIX_PASSES_TF32):
        torch.backends.cuda.matmul.allow_tf32 = name == SIX_PASSES_TF32
        torch.backends.cudnn.allow_tf32 = name == SIX_PASSES_TF32
        plain = unoptimised(config)
        graph = InspectionGraph(make_generator(plain.generator), plain).eval()
        own, _ = make_golden(graph, golden.images, golden.names, plain)
        return Eager(
            infer=_runner(UnoptimisedModel(graph).to(device), own.constants, device), golden=own
        )
    graph = InspectionGraph(make_generator(config.generator), config).eval().to(device)
    _in_half(graph, device)
    step = _whole(graph)
    if name == COMPILED:
        step = torch.compile(step)
    return Eager(infer=_runner(step, golden.constants, device), golden=golden)


def _whole(graph: InspectionGraph) -> Callable[..., tuple[Tensor, ...]]:
    def step(image: Tensor, tile: Tensor, *constants: Tensor) -> tuple[Tensor, ...]:
        answers: tuple[Tensor, ...] = graph(image, tile, *constants)
        return answers[: len(SCORE_OUTPUTS)]

    return step


def _in_half(graph: InspectionGraph, device: str) -> None:
    """Encoder, decoder and head under autocast; fill, smoothing and scoring stay FP32."""
    for module in (graph.generator.form, graph.generator.head):
        module.forward = _autocast(module.forward, device)  # type: ignore[method-assign]


def _autocast(full: Callable[..., Tensor], device: str) -> Callable[..., Tensor]:
    def forward(*inputs: Any) -> Tensor:
        with torch.autocast(device, torch.float16):
            return full(*inputs).float()

    return forward


def _runner(
    step: Callable[..., tuple[Tensor, ...]], constants: RuleConstants, device: str
) -> Callable[[NDArray[np.uint8], NDArray[np.int32]], Scores]:
    """With all transfers, as a session: arrays in, arrays out."""
    bound = [value.to(device) for value in RuleInputs.from_constants(constants)]

    def infer(images: NDArray[np.uint8], tile: NDArray[np.int32]) -> Scores:
        with torch.inference_mode():
            answers = step(
                torch.from_numpy(images).to(device), torch.from_numpy(tile).to(device), *bound
            )
            arrays = [value.cpu().numpy() for value in answers]
        return Scores(**dict(zip(SCORE_OUTPUTS, arrays, strict=True)))

    return infer
