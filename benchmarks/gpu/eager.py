"""The model in PyTorch: unoptimised as the baseline, in FP16, and compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.cpu_reference import make_generator, with_generator
from benchmarks.gpu.plan import COMPILED, SIX_PASSES, SIX_PASSES_TF32
from edgeinspect.config import Form, Prior, RunConfig
from edgeinspect.constants import RuleConstants
from edgeinspect.export.golden import make_golden
from edgeinspect.export.graph import SCORE_OUTPUTS, InspectionGraph
from edgeinspect.model.fusion import fuse_reconstructions
from edgeinspect.model.generator import join_patches
from edgeinspect.model.masks import block_masks
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
            infer=_runner(_six_passes(graph.to(device)), own.constants, device), golden=own
        )
    graph = InspectionGraph(make_generator(config.generator), config).eval().to(device)
    _in_half(graph, device)
    step = _whole(graph)
    if name == COMPILED:
        step = torch.compile(step)
    return Eager(infer=_runner(step, golden.constants, device), golden=golden)


def unoptimised(config: RunConfig) -> RunConfig:
    """The baseline of a preset, fixed for ever: see `benchmarks/cpu_reference.py`."""
    return with_generator(
        config,
        form=Form.ALL,
        prior=Prior.NONE,
        merge=0,
        decoder_width=None,
        decoder_mlp_ratio=None,
    )


def _whole(graph: InspectionGraph) -> Callable[..., tuple[Tensor, ...]]:
    def step(image: Tensor, tile: Tensor, *constants: Tensor) -> tuple[Tensor, ...]:
        answers: tuple[Tensor, ...] = graph(image, tile, *constants)
        return answers[: len(SCORE_OUTPUTS)]

    return step


def _six_passes(graph: InspectionGraph) -> Callable[..., tuple[Tensor, ...]]:
    """One masked pass after the other, then fusion and scoring."""
    generator, config = graph.generator, graph.generator.config
    masks = block_masks(config).to(next(generator.parameters()).device)
    side = config.size // config.patch

    def one_pass(images: Tensor, number: int) -> Tensor:
        passes = torch.full((len(images), 1), number, device=images.device)
        tables = generator.masks.tables(passes)
        pixels = generator.head(generator.form(generator.encoder, images, None, tables))
        residual = join_patches(pixels, side, config.patch)
        is_removed = masks.reshape(config.n_passes, *masks.shape[2:])[number] > 0
        smoothed: Tensor = generator.smooth(torch.where(is_removed, residual, images))
        return smoothed

    def step(image: Tensor, tile: Tensor, *constants: Tensor) -> tuple[Tensor, ...]:
        images = (image.float() / 255).permute(0, 3, 1, 2)
        recons = torch.stack([one_pass(images, p) for p in range(config.n_passes)], dim=1)
        shape = (len(images), config.n_scales, 2, 3, config.size, config.size)
        fused = fuse_reconstructions(recons.reshape(shape), masks)
        return tuple(graph.scoring(images, fused, tile, RuleInputs(*constants)))

    return step


def _in_half(graph: InspectionGraph, device: str) -> None:
    """The generator under autocast; scoring stays FP32."""
    full = graph.generator.forward

    def forward(images: Tensor, *more: Any) -> Any:
        with torch.autocast(device, torch.float16):
            made = full(images, *more)
        return made._replace(pixels=made.pixels.float())

    graph.generator.forward = forward


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
