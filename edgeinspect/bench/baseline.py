"""The unoptimised model: what every speed is a ratio to. Needs torch; nothing else in here does.

Fixed for ever per preset: form `all`, decoder as wide and as deep as the preset first had it, no
fill, no merging, eager FP32 PyTorch, the masked passes one after another, fusion and scoring
outside. Weights are drawn by a seed: speed does not depend on them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeinspect.config import Form, GeneratorConfig, Prior, RunConfig, Target
from edgeinspect.constants import RuleConstants, neutral_constants
from edgeinspect.export.graph import SCORE_OUTPUTS, InspectionGraph
from edgeinspect.model.equalise import equalise
from edgeinspect.model.fusion import fuse_reconstructions
from edgeinspect.model.generator import Generator, join_patches
from edgeinspect.model.masks import block_masks
from edgeinspect.runtime.session import Images, Ints, Scores
from edgeinspect.scoring import RuleInputs, error_maps, score_maps

__all__ = [
    "SIZES",
    "Baseline",
    "UnoptimisedModel",
    "has_cuda",
    "make_generator",
    "unoptimised",
    "with_generator",
]

SEED = 0
HEAD_SPREAD = 0.02  # heads start at zero, which would leave subnormal numbers
SIZES = {  # preset: width, encoder blocks with the middle one, decoder blocks
    "paper": (512, 7, 6),
    "edge": (384, 6, 6),
    "fine": (192, 4, 2),
    "tiny": (192, 4, 2),
    "nano": (128, 3, 1),
}
PATCH, MASK_SCALES = 16, (1, 2, 4)


def with_generator(config: RunConfig, **changes: Any) -> RunConfig:
    """The same settings with some of the generator's changed."""
    return dataclasses.replace(config, generator=dataclasses.replace(config.generator, **changes))


def make_generator(config: GeneratorConfig) -> Generator:
    """A generator with weights by seed, its heads too."""
    torch.manual_seed(SEED)
    generator = Generator(config).eval()
    for name in ("head", "feature_head"):
        if hasattr(generator, name):
            nn.init.normal_(getattr(generator, name).weight, std=HEAD_SPREAD)
    return generator


def unoptimised(config: RunConfig) -> RunConfig:
    """The baseline's settings: those of the preset; image size and target are the run's."""
    generator = config.generator
    width, depth, decoder_depth = SIZES.get(
        config.preset, (generator.width, generator.depth, generator.decoder_depth)
    )
    # Features have no pixels to begin from, so that their prior cannot be named `none`; the
    # passes below give the form no fill in either case.
    prior = Prior.FILL if generator.target is Target.FEATURES else Prior.NONE
    masks: dict[str, Any] = {}
    if generator.size % (2 * PATCH * max(MASK_SCALES)) == 0:
        masks = {"patch": PATCH, "mask_scales": MASK_SCALES}
    return with_generator(
        config,
        form=Form.ALL,
        prior=prior,
        merge=0,
        width=width,
        depth=depth,
        mlp_ratio=4.0,
        decoder_width=None,
        decoder_depth=decoder_depth,
        decoder_mlp_ratio=None,
        **masks,
    )


class UnoptimisedModel(nn.Module):
    """One masked pass after the other, then fusion, then scoring; inputs as `InspectionGraph`."""

    removed: Tensor  # (I, 2, H, W)
    token_removed: Tensor  # (I, 2, N)

    def __init__(self, graph: InspectionGraph) -> None:
        super().__init__()
        self.graph = graph
        removed = block_masks(graph.generator.config)
        self.register_buffer("removed", removed, persistent=False)
        token_removed = graph.generator.masks.token_removed.unflatten(0, (-1, 2))
        self.register_buffer("token_removed", token_removed, persistent=False)

    def forward(self, image: Tensor, tile: Tensor, *constants: Tensor) -> tuple[Tensor, ...]:
        """Answer as `SCORE_OUTPUTS` to image (B, H, W, 3) uint8 at tile positions (B,) int32."""
        graph, generator = self.graph, self.graph.generator
        images = equalise((image.float() / 255).permute(0, 3, 1, 2), graph.equalisation)
        passes = [self.decode(images, number) for number in range(generator.config.n_passes)]
        errors = []
        if generator.config.target.has_pixels:
            recons = torch.stack([self.pixels(x, images, p) for p, x in enumerate(passes)], dim=1)
            fused = fuse_reconstructions(recons.unflatten(1, (-1, 2)), self.removed)
            of_pixels = [m for m in graph.scoring.measures if not m.is_of_features]
            errors.append(error_maps(images, fused, of_pixels))
        if generator.config.target.has_features:
            features = torch.stack([generator.feature_head(x) for x in passes], dim=1)
            shares = features.unflatten(1, (-1, 2)) * self.token_removed[..., None]
            errors.append(generator.targets.error_maps(images, shares.sum(dim=2)))
        scores = score_maps(torch.cat(errors, dim=1), tile, RuleInputs(*constants), graph.scoring)
        return tuple(scores)

    def decode(self, images: Tensor, number: int) -> Tensor:
        """Images (B, 3, H, W) through one masked pass: tokens (B, N, D)."""
        generator = self.graph.generator
        passes = torch.full((len(images), 1), number, device=images.device)
        tables = generator.masks.tables(passes)
        decoded: Tensor = generator.form(generator.encoder, images, None, tables)
        return decoded

    def pixels(self, decoded: Tensor, images: Tensor, number: int) -> Tensor:
        """Tokens of a pass (B, N, D) to its reconstruction (B, 3, H, W)."""
        generator = self.graph.generator
        side = generator.config.size // generator.config.patch
        residual = join_patches(generator.head(decoded), side, generator.config.patch)
        is_removed = self.removed.flatten(0, 1)[number] > 0
        smoothed: Tensor = generator.smooth(torch.where(is_removed, residual, images))
        return smoothed


class Baseline:
    """The unoptimised model with neutral constants bound: arrays in, scores out, as a session.

    Args of the constructor:
        config: of the run it is the baseline of. device: "cpu" or "cuda".
        is_tf32: let FP32 products of a GPU be rounded to TF32; process-wide, set at each call.
        threads: of the CPU; None leaves it to torch.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        device: str = "cpu",
        is_tf32: bool = False,
        threads: int | None = None,
    ) -> None:
        plain = unoptimised(config)
        graph = InspectionGraph(make_generator(plain.generator), plain).eval()
        self.config = plain
        self.name = "unoptimised-tf32" if is_tf32 else "unoptimised"
        self._model = UnoptimisedModel(graph).to(device)
        self._device, self._is_tf32, self._threads = device, is_tf32, threads
        self._constants = self._bind(neutral_constants(plain))

    def _bind(self, constants: RuleConstants) -> list[Tensor]:
        return [value.to(self._device) for value in RuleInputs.from_constants(constants)]

    def infer(self, images: Images, tile: Ints) -> Scores:
        """Score images (B, H, W, 3) uint8, all transfers included."""
        torch.backends.cuda.matmul.allow_tf32 = self._is_tf32
        torch.backends.cudnn.allow_tf32 = self._is_tf32
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            inputs = (torch.from_numpy(array).to(self._device) for array in (images, tile))
            answers = self._model(*inputs, *self._constants)
            arrays: list[NDArray[Any]] = [np.asarray(value.cpu()) for value in answers]
        return Scores(**dict(zip(SCORE_OUTPUTS, arrays, strict=True)))


def has_cuda() -> bool:
    """Whether this torch can use a GPU."""
    return bool(torch.cuda.is_available())
