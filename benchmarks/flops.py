"""What one image costs: floating-point operations of all masked passes, counted by hand.

A multiply-add is two operations. Only matrix products and convolutions are counted, as torch's
counter does; the tests hold the two equal. The backbone of feature targets is timm's, and counted
by torch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from edgeinspect.config import HEAD_WIDTH, Form, GeneratorConfig, Prior
from edgeinspect.model.features import FeatureTargets


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorFlops:
    """Operations for one image, all passes, by part.

    `head` and `smoothing` make pixels; `features` are the head that makes features, and whitening
    and memory of the image's own, which the `backbone` gives once an image.
    """

    embedding: int
    encoder: int
    decoder: int
    head: int
    smoothing: int
    fill: int
    features: int
    backbone: int

    @property
    def total(self) -> int:
        return sum(int(getattr(self, part.name)) for part in fields(self))


def count_flops(config: GeneratorConfig) -> GeneratorFlops:
    """Of `Generator(config)` on one image, and of its targets where they are features."""
    n_values = config.patch**2 * 3
    encoder, n_first, n_last = _encoder(config)
    has_pixels = config.target.has_pixels
    targets = _of_targets(config) if config.target.has_features else None
    return GeneratorFlops(
        embedding=2 * config.n_tokens * n_values * (config.width + _fill_width(config)),
        encoder=config.n_passes * encoder,
        decoder=config.n_passes * _decoder(config, n_first, n_last),
        head=_head(config, n_values) if has_pixels else 0,
        smoothing=config.n_passes * 2 * 9 * 3 * 3 * config.size**2 if has_pixels else 0,
        fill=_fill(config) if config.prior is Prior.FILL else 0,
        features=_head(config, targets.width) + targets.comparing if targets else 0,
        backbone=targets.backbone if targets else 0,
    )


def _head(config: GeneratorConfig, n_values: int) -> int:
    """From decoded tokens to `n_values` numbers each, in all passes."""
    n = config.n_tokens // 2 if config.form is Form.CROSS else config.n_tokens
    return config.n_passes * 2 * n * config.width_of_decoder * n_values


class _TargetFlops(NamedTuple):
    """Of features: how many there are a token, and what an image's own cost."""

    width: int
    comparing: int  # whitenings, and the search in the memory
    backbone: int


@lru_cache(maxsize=8)
def _of_targets(config: GeneratorConfig) -> _TargetFlops:
    """On tensors without values; the backbone by torch's counter."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        targets = FeatureTargets(config)
        for size in config.feature_sizes:
            targets.backbone(torch.empty(1, 3, size, size))
    searches = [
        memory.n_side**2 * memory.width * (memory.width + memory.n_remembered)
        for memory in targets.memories
        if memory.n_remembered
    ]
    n_all = targets.width * len(targets.memories)  # whose means are whitened as well
    return _TargetFlops(
        width=targets.width,
        comparing=2 * (config.n_tokens * targets.width**2 + n_all**2 + sum(searches)),
        backbone=int(counter.get_total_flops()),
    )


def _fill_width(config: GeneratorConfig) -> int:
    """Summed widths to which the fills of all scales are embedded."""
    if config.prior is Prior.NONE:
        return 0
    width = config.width if config.form is Form.ALL else config.width_of_decoder
    return config.n_scales * width


def _encoder(config: GeneratorConfig) -> tuple[int, int, int]:
    """Operations of one pass, and the number of tokens after the first and the last block."""
    total, n, width = 0, config.n_tokens_encoded, config.width
    n_first = n
    for block, r in enumerate(config.merge_of_blocks):
        n_mlp = n - r
        total += 8 * n * width**2 + 4 * n * n * width
        total += int(4 * config.mlp_ratio * n_mlp * width**2)
        if r:
            total += _merge(n, r, width)
        if r and config.form is not Form.CROSS:
            total += 2 * n_mlp * n * width  # unmerging
        else:
            n = n_mlp
        if block == 0:
            n_first = n
    return total, n_first, n


def _merge(n: int, r: int, width: int) -> int:
    """Similarity of keys, the merge matrix, and its product with tokens and sizes."""
    n_even, n_odd = (n + 1) // 2, n // 2
    return 2 * (n_even * n_odd * HEAD_WIDTH + n_odd * r * n + (n - r) * n * (width + 1))


def _decoder(config: GeneratorConfig, n_first: int, n_last: int) -> int:
    width, depth, ratio = (
        config.width_of_decoder,
        config.decoder_depth,
        config.mlp_ratio_of_decoder,
    )
    if config.form is Form.CROSS:
        n = config.n_tokens // 2
        contexts = [n_last] * (depth - 1) + [n_last + n_first]
        per_block = [
            4 * n * width**2 + 4 * m * config.width * width + 4 * n * m * width for m in contexts
        ]
        return sum(per_block) + depth * int(4 * ratio * n * width**2)
    n = config.n_tokens
    block = 8 * n * width**2 + 4 * n * n * width + int(4 * ratio * n * width**2)
    n_narrowed = n if config.form is Form.ALL else n // 2
    narrow = 2 * n_narrowed * config.width * width if width != config.width else 0
    return depth * block + narrow + 2 * n * (width + config.width) * width


def _fill(config: GeneratorConfig) -> int:
    """Edges, seen inside the block, exchanged and faded, along both axes of three channels."""
    total = 0
    for reduce in config.mask_scales:
        side = config.size // reduce
        n_blocks = side // config.patch
        total += (24 * side**2 + 16 * n_blocks**2 * side) * 3
        if reduce > 1:
            total += 4 * config.patch * config.size * (side + config.size) * 3
    return total
