"""The three networks of a training run, and the two optimisers that update them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edgeinspect.config import GeneratorConfig, OptimiserConfig, RunConfig
from edgeinspect.model.discriminator import Discriminator
from edgeinspect.model.encoder import Encoder
from edgeinspect.model.fusion import fuse_reconstructions
from edgeinspect.model.generator import Generator

__all__ = [
    "Fused",
    "Networks",
    "Reconstructor",
    "build_networks",
    "learning_rate",
    "make_optimiser",
]


class Fused(NamedTuple):
    """What a step compares, None where target or losses have none of it.

    `images` (B, 3, H, W) are O_i; `features` and `targets` (B, N, D), of the same scale and of the
    image; `latents` (B, N, width) of the image.
    """

    images: Tensor | None
    features: Tensor | None
    targets: Tensor | None
    latents: Tensor | None


class Reconstructor(nn.Module):
    """The generator as training calls it: one call, one backward pass, so that DDP can hook in."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.generator = Generator(config)

    def forward(self, images: Tensor, scales: Tensor, with_latents: bool) -> Fused:
        """Reconstruct images (B, 3, H, W) at one scale each, (B,)."""
        generator = self.generator
        recons = generator(images, scales)
        fused = None
        if recons.pixels is not None:
            masks = generator.masks.removed.unflatten(0, (-1, 2)).squeeze(2)[scales]
            fused = fuse_reconstructions(recons.pixels, masks.unsqueeze(1)).squeeze(1)
        features, targets = None, None
        if recons.features is not None:
            features = recons.features.squeeze(1)
            with torch.autocast(images.device.type, enabled=False):  # whitening is loud on rounding
                targets = generator.targets(images.float())
        return Fused(
            images=fused,
            features=features,
            targets=targets,
            latents=generator.encoder(images) if with_latents else None,
        )


@dataclass(slots=True)
class Networks:
    """What is trained. The last two are None where their loss has no weight."""

    reconstructor: Reconstructor
    latent_encoder: Encoder | None
    discriminator: Discriminator | None

    def named(self) -> dict[str, nn.Module]:
        """The networks there are, by the names of their checkpoint files."""
        known: dict[str, nn.Module | None] = {
            "generator": self.reconstructor,
            "latent_encoder": self.latent_encoder,
            "discriminator": self.discriminator,
        }
        return {name: network for name, network in known.items() if network is not None}


def build_networks(config: RunConfig) -> Networks:
    """New networks, the same for the same seed whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.optimiser.seed)
        reconstructor = Reconstructor(config.generator)
        unmerged = replace(config.generator, merge=0)
        latent = Encoder(unmerged) if config.losses.latent else None
        discriminator = (
            Discriminator(config.discriminator, config.generator)
            if config.losses.adversarial
            else None
        )
    return Networks(reconstructor, latent, discriminator)


def make_optimiser(networks: Sequence[nn.Module], config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW; matrices decay, biases, norms, positions and single tokens do not."""
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.dim() >= 2 and p.shape[0] > 1]},
        {"params": [p for p in parameters if p.dim() < 2 or p.shape[0] == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.95)
    )


def learning_rate(step: int, n_steps: int, config: OptimiserConfig) -> float:
    """Of step 0, 1, ...: a linear warm-up, then a cosine down to the final share."""
    n_warmup = max(1, round(config.warmup_share * n_steps))
    if step < n_warmup:
        return config.learning_rate * (step + 1) / n_warmup
    done = (step - n_warmup) / max(1, n_steps - n_warmup)
    share = config.final_learning_rate_share
    return config.learning_rate * (share + (1 - share) * (1 + math.cos(math.pi * done)) / 2)
