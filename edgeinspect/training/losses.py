"""The losses of the paper (eq. 1 to 5), in FP32 whatever the networks compute in.

The consistency loss looks at the picture, the adversarial loss at the discriminator's features,
the latent loss at the encoders' latents. Each has a weight; one of 0 is not computed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeinspect.config import LossConfig
from edgeinspect.data.luminance import LUMINANCE
from edgeinspect.scoring.measures import SSIM_C1, SSIM_C2, window_taps

__all__ = [
    "ConsistencyLoss",
    "adversarial_loss",
    "discriminator_loss",
    "feature_loss",
    "gradient_loss",
    "latent_loss",
]


class ConsistencyLoss(nn.Module):
    """L_con = L1 + (1 - SSIM) + L1 of gradients, each weighted (eq. 1 to 4).

    SSIM is that of `scoring.measures.structure_error` (a test holds the two equal), written as
    products with band matrices: a CPU trains through them faster than through convolutions,
    backwards above all (`benchmarks/training_layouts.py`), while ONNX Runtime runs the
    convolutions faster.
    """

    window: Tensor
    luminance: Tensor

    def __init__(self, config: LossConfig, size: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", _window_matrix(size), persistent=False)
        self.register_buffer("luminance", torch.tensor(LUMINANCE)[:, None, None], persistent=False)

    def forward(self, images: Tensor, recons: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) twice -> the unweighted terms by name, those with a weight."""
        with torch.autocast(images.device.type, enabled=False):
            images, recons = images.float(), recons.float()
            terms: dict[str, Tensor] = {}
            if self.config.l1:
                terms["l1"] = (recons - images).abs().mean()
            if self.config.ssim:
                terms["ssim"] = 1 - self.ssim(images, recons).mean()
            if self.config.gradient:
                terms["gradient"] = gradient_loss(images, recons)
            return terms

    def ssim(self, x: Tensor, y: Tensor) -> Tensor:
        """Structural similarity of luminance: (B, 3, H, W) twice -> (B, H, W)."""
        x, y = (x * self.luminance).sum(1), (y * self.luminance).sum(1)
        mean_x, mean_y = self._blur(x), self._blur(y)
        var_x = self._blur(x * x) - mean_x * mean_x
        var_y = self._blur(y * y) - mean_y * mean_y
        covariance = self._blur(x * y) - mean_x * mean_y
        top = (2 * mean_x * mean_y + SSIM_C1) * (2 * covariance + SSIM_C2)
        return top / ((mean_x * mean_x + mean_y * mean_y + SSIM_C1) * (var_x + var_y + SSIM_C2))

    def _blur(self, x: Tensor) -> Tensor:
        return self.window @ x @ self.window.mT


def gradient_loss(images: Tensor, recons: Tensor) -> Tensor:
    """Mean absolute difference of the two gradients, by differences of neighbours (eq. 4)."""
    difference = recons - images  # the gradient is linear
    return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()


def adversarial_loss(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """L_adv: Euclidean distance of the discriminator's features, per square root of a feature.

    (B, D) twice -> scalar. Divided by sqrt(D), so that a weight means the same at every width.
    """
    distance = torch.linalg.vector_norm(real_features.float() - fake_features.float(), dim=-1)
    return distance.mean() / real_features.shape[-1] ** 0.5


def feature_loss(targets: Tensor, features: Tensor) -> Tensor:
    """Mean squared distance of whitened features: (B, N, D) twice.

    Squared although good pictures have heavy tails: a linear tail draws the reconstruction to what
    most tokens are, the background, and away from the part.
    """
    return F.mse_loss(features.float(), targets.float())


def latent_loss(latents: Tensor, latents_of_recon: Tensor) -> Tensor:
    """L_enc: Euclidean distance of latents, token by token, scaled as above: (B, N, D) twice."""
    distance = torch.linalg.vector_norm(latents.float() - latents_of_recon.float(), dim=-1)
    return distance.mean() / latents.shape[-1] ** 0.5


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Cross-entropy of the sigmoid output, images being 1 and reconstructions 0: (B,) twice."""
    real = F.binary_cross_entropy_with_logits(real_logits.float(), torch.ones_like(real_logits))
    fake = F.binary_cross_entropy_with_logits(fake_logits.float(), torch.zeros_like(fake_logits))
    return (real + fake) / 2


def _window_matrix(size: int) -> Tensor:
    """(size, size): SSIM's window in every row; beyond the border the last px repeats."""
    taps = torch.tensor(window_taps())
    offsets = torch.arange(len(taps)) - len(taps) // 2
    columns = (torch.arange(size)[:, None] + offsets).clamp(0, size - 1)
    return torch.zeros(size, size).scatter_add_(1, columns, taps.expand(size, -1))
