"""How a reconstruction and its image differ, pixel by pixel: the error maps (eq. 7).

The first step of scoring. `l1`, `l2` and `signed` are means over the three colours; `ssim` and
`msgms` compare luminance. SSIM: Wang et al. 2004; gradient magnitude similarity at several
sizes: arXiv 1308.3052 and 2007.08176.

Formulations are the ones that ONNX Runtime runs fastest on one core: windows as separable
depthwise convolutions, 3 x 3 gradients as sums of shifted maps, halving as sums of every second
pixel, because its AveragePool and one-channel convolutions are slow. What scoring costs with the
fill is in `benchmarks.cpu_reference`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgeinspect.config import Measure
from edgeinspect.data.luminance import LUMINANCE

__all__ = [
    "CHANNEL_BLOCK",
    "SSIM_C1",
    "SSIM_C2",
    "absolute_error",
    "error_maps",
    "gradient_error",
    "luminance",
    "separable_filter",
    "signed_error",
    "squared_error",
    "structure_error",
    "window_taps",
]

WINDOW_PX, WINDOW_SIGMA = 11, 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
GMS_C = 0.0026
GMS_LEVELS = 3
CHANNEL_BLOCK = 8  # maps of one vector register with AVX2


def error_maps(
    images: Tensor, recons: Tensor, measures: Sequence[Measure], *, grey: Tensor | None = None
) -> Tensor:
    """Compare each image with its reconstructions by every measure, all of pixels.

    Args:
        images: (B, 3, H, W), float32 in [0, 1]; H and W multiples of 4 for `msgms`.
        recons: (B, I, 3, H, W), the fused reconstructions O_i.
        grey: (B, I, H, W), their luminance where it is known.
    Returns: (B, K, I, H, W), 0 where they agree; K in the order of `measures`.
    """
    grey = luminance(recons) if grey is None else grey
    grey = torch.cat([luminance(images)[:, None], grey], dim=1)  # (B, 1 + I, H, W)
    of_colour: dict[Measure, Callable[[Tensor, Tensor], Tensor]] = {
        Measure.L1: absolute_error,
        Measure.L2: squared_error,
        Measure.SIGNED: signed_error,
    }
    of_grey = {Measure.SSIM: structure_error, Measure.MSGMS: gradient_error}
    maps = [of_colour[m](images, recons) if m in of_colour else of_grey[m](grey) for m in measures]
    return torch.stack(maps, dim=1)


def luminance(images: Tensor) -> Tensor:
    """(..., 3, H, W) RGB to (..., H, W), weights of ITU-R BT.601."""
    of_red, of_green, of_blue = LUMINANCE
    red, green, blue = images.unbind(dim=-3)
    return red * of_red + green * of_green + blue * of_blue  # a sum over an axis costs twice that


def absolute_error(images: Tensor, recons: Tensor) -> Tensor:
    """|O_i - I|, averaged over colours: (B, I, H, W)."""
    return (recons - images[:, None]).abs().mean(dim=2)


def squared_error(images: Tensor, recons: Tensor) -> Tensor:
    """(O_i - I)^2, averaged over colours: (B, I, H, W)."""
    difference = recons - images[:, None]
    return (difference * difference).mean(dim=2)


def signed_error(images: Tensor, recons: Tensor) -> Tensor:
    """O_i - I as eq. 7 has it, averaged over colours: (B, I, H, W)."""
    return (recons - images[:, None]).mean(dim=2)


def structure_error(grey: Tensor) -> Tensor:
    """1 - SSIM of each reconstruction's luminance against the image's.

    Written with the difference d = O_i - I, as p + q - p q for p = mean(d)^2 / (mean(I)^2 +
    mean(O)^2 + c1) and q = var(d) / (var(I) + var(O) + c2): the same, without the cancellation that
    drowns small errors of smooth surfaces.

    Args:
        grey: (B, 1 + I, H, W), the image first.
    Returns: (B, I, H, W), 0 to 2.
    """
    n = grey.shape[1] - 1
    grey = _pad(grey, WINDOW_PX // 2)
    image, recons = grey[:, :1], grey[:, 1:]
    difference = recons - image
    both = image * image + recons * recons  # half the price of a power in ONNX Runtime
    parts = [image, difference, difference * difference, both]
    n_fill = -(3 * n + 1) % CHANNEL_BLOCK
    filtered = torch.cat([*parts, image.expand(-1, n_fill, -1, -1)], dim=1)
    means = separable_filter(filtered, grey.new_tensor(window_taps()))[:, : 3 * n + 1]
    mean_image, mean, mean_square, both = torch.split(means, [1, n, n, n], dim=1)
    mean_recons, square_of_mean = mean_image + mean, mean * mean
    of_means = mean_image * mean_image + mean_recons * mean_recons
    p = square_of_mean / (of_means + SSIM_C1)
    q = (mean_square - square_of_mean) / (both - of_means + SSIM_C2)
    return p + q - p * q


def gradient_error(grey: Tensor) -> Tensor:
    """1 - multi-scale gradient magnitude similarity, up-sampled by repetition.

    1 - GMS is written as (g_I - g_O)^2 / (g_I^2 + g_O^2 + c): the same, without cancellation.

    Args:
        grey: (B, 1 + I, H, W), the image first; H and W multiples of 4.
    Returns: (B, I, H, W), 0 to 1, the mean over full, half and quarter size.
    """
    levels = []
    for level in range(GMS_LEVELS):
        grey = _halve(grey) if level else grey
        levels.append(_one_minus_gms(grey))
    total = levels.pop()
    while levels:
        total = levels.pop() + F.interpolate(total, scale_factor=2.0, mode="nearest")
    return total / GMS_LEVELS


def _one_minus_gms(grey: Tensor) -> Tensor:
    """(B, 1 + I, h, w) to (B, I, h, w); Prewitt's sums are nine times his mean, so is c's."""
    grey = _pad(grey, 1)
    rows = grey[:, :, :-2] + grey[:, :, 1:-1] + grey[:, :, 2:]
    columns = grey[..., :-2] + grey[..., 1:-1] + grey[..., 2:]
    across, down = rows[..., 2:] - rows[..., :-2], columns[:, :, 2:] - columns[:, :, :-2]
    energy = across * across + down * down
    magnitude = energy.sqrt()
    difference = magnitude[:, 1:] - magnitude[:, :1]
    return difference * difference / (energy[:, 1:] + energy[:, :1] + 9 * GMS_C)


def _halve(maps: Tensor) -> Tensor:
    """The mean of each 2 x 2 pixels."""
    rows = maps[:, :, 0::2] + maps[:, :, 1::2]
    return (rows[..., 0::2] + rows[..., 1::2]) / 4


def _pad(maps: Tensor, n_px: int) -> Tensor:
    return F.pad(maps, (n_px, n_px, n_px, n_px), mode="replicate")


def window_taps() -> list[float]:
    """SSIM's Gaussian window, down or across: 11 weights, which sum to 1."""
    half = WINDOW_PX // 2
    bell = [math.exp(-((x - half) ** 2) / (2 * WINDOW_SIGMA**2)) for x in range(WINDOW_PX)]
    return [value / sum(bell) for value in bell]


def separable_filter(maps: Tensor, taps: Tensor) -> Tensor:
    """Filter each map with `taps`, down and across, without padding.

    Args:
        maps: (B, C, H, W), C best a multiple of `CHANNEL_BLOCK`: 16 maps take half the time of 10.
        taps: (n,).
    Returns: (B, C, H - n + 1, W - n + 1).
    """
    n_maps, n = maps.shape[1], taps.shape[0]
    down = taps.view(1, 1, n, 1).expand(n_maps, 1, n, 1)
    across = taps.view(1, 1, 1, n).expand(n_maps, 1, 1, n)
    return F.conv2d(F.conv2d(maps, down, groups=n_maps), across, groups=n_maps)
