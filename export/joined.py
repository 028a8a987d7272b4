"""Both complements of a scale as one picture: the generator's last steps, as graphs compute them.

A removed token counts in the pass that removed it and nowhere else (eq. 6). So tokens are joined
before they become pixels, and half of the pictures are never laid out. The 3 x 3 convolution still
sees each pass as it was, removed pixels R between those of the image I: with h = 1 where the first
pass removed and -1 where the second did, the passes are (R + I) / 2 + h (R - I) / 2 and
(R + I) / 2 - h (R - I) / 2, and the convolution is linear. `Generator.reconstruct` is the plain
form that tests compare with; `benchmarks/joined_passes.py` measures what it brings.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeinspect.config import Form
from edgeinspect.data.luminance import LUMINANCE
from edgeinspect.model.generator import Generator
from edgeinspect.model.masks import block_masks

__all__ = ["JoinedSmoothing", "JoinedTokens"]


class JoinedTokens(nn.Module):
    """Decoded tokens (B * Q, n, P) -> each token of a scale, of the pass that removed it.

    (B, I, N, P): what a form's `place` and eq. 6 give, as one static gather.
    """

    rows: Tensor

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        masks, form = generator.masks, generator.config.form
        removed_first = masks.token_removed[0::2]  # (I, N)
        n_scales, n_tokens = removed_first.shape
        passes = 2 * torch.arange(n_scales)[:, None] + (~removed_first).int()
        own = torch.arange(n_tokens).expand(n_scales, -1)
        n_decoded = n_tokens
        if form is Form.CROSS:  # it decodes removed tokens alone
            own = masks.place_masked.gather(0, passes)
            n_decoded = masks.masked.shape[-1]
        self.n_rows, self.n_scales = len(masks.masked) * n_decoded, n_scales
        self.register_buffer("rows", (passes * n_decoded + own).flatten(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        rows = tokens.reshape(-1, self.n_rows, tokens.shape[-1]).index_select(1, self.rows)
        joined: Tensor = rows.unflatten(1, (self.n_scales, -1))
        return joined


class JoinedSmoothing(nn.Module):
    """The 3 x 3 convolution on joined pictures, with their luminance as a fourth colour.

    As one more output of the convolution the luminance costs nothing.
    """

    sign: Tensor

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        removed_first = block_masks(generator.config)[:, 0, None]  # (I, 1, H, W)
        self.register_buffer("sign", removed_first * 2 - 1, persistent=False)

    def forward(self, images: Tensor, removed: Tensor, smooth: nn.Conv2d) -> Tensor:
        """Smooth what was reconstructed between what was seen.

        Args:
            images: (B, 3, H, W). removed: (B, I, 3, H, W), joined, as it was reconstructed.
        Returns: (B, I, 4, H, W): O_i of eq. 6, and its luminance.
        """
        n_scales, seen = removed.shape[1], images[:, None]
        to_grey = smooth.weight.new_tensor([LUMINANCE])  # (1, 3)
        to_four = torch.cat([torch.eye(3, device=to_grey.device), to_grey])
        weight = (to_four @ smooth.weight.flatten(1) / 2).unflatten(1, smooth.weight.shape[1:])
        weight = weight.repeat(n_scales, 1, 1, 1)
        bias = None if smooth.bias is None else (to_four @ smooth.bias).repeat(n_scales)

        def convolve(pictures: Tensor, bias: Tensor | None) -> Tensor:
            flat = pictures.flatten(1, 2)
            smoothed = F.conv2d(flat, weight, bias, padding=1, groups=n_scales)
            by_scale: Tensor = smoothed.unflatten(1, (n_scales, 4))
            return by_scale

        common = convolve(removed + seen, bias)
        return common + convolve((removed - seen) * self.sign, None) * self.sign
