"""What one image costs: floating-point operations of all masked passes, counted by hand.

A multiply-add is two operations. Only matrix products and convolutions are counted, as torch's
counter does; the tests hold the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from edgeinspect.config import HEAD_WIDTH, Form, GeneratorConfig, Prior

__all__ = ["GeneratorFlops", "count_flops"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorFlops:
    """Operations for one image, all passes, by part."""

    embedding: int
    encoder: int
    decoder: int
    head: int
    smoothing: int
    fill: int

    @property
    def total(self) -> int:
        return sum(int(getattr(self, part.name)) for part in fields(self))


def count_flops(config: GeneratorConfig) -> GeneratorFlops:
    """Of `Generator(config)` on one image."""
    n_head = config.n_tokens // 2 if config.form is Form.CROSS else config.n_tokens
    n_values = config.patch**2 * 3
    encoder, n_first, n_last = _encoder(config)
    return GeneratorFlops(
        embedding=2 * config.n_tokens * n_values * (config.width + _fill_width(config)),
        encoder=config.n_passes * encoder,
        decoder=config.n_passes * _decoder(config, n_first, n_last),
        head=config.n_passes * 2 * n_head * config.width_of_decoder * n_values,
        smoothing=config.n_passes * 2 * 9 * 3 * 3 * config.size**2,
        fill=_fill(config) if config.prior is Prior.FILL else 0,
    )


def _fill_width(config: GeneratorConfig) -> int:
    """Summed widths to which the fills of all scales are embedded."""
    if config.prior is Prior.NONE:
        return 0
    width = config.width if config.form is Form.ALL else config.width_of_decoder
    return config.n_scales * width


def _encoder(config: GeneratorConfig) -> tuple[int, int, int]:
    """Operations of one pass, and the number of tokens after the first and the last block."""
    total, n, width, r = 0, config.n_tokens_encoded, config.width, config.merge
    n_first = n
    for block in range(config.depth):
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
    """Two products with neighbours and two inside the block, on three channels; enlarging."""
    total = 0
    for reduce in config.mask_scales:
        side = config.size // reduce
        total += 12 * config.patch * side**2 * 3
        if reduce > 1:
            total += 2 * config.patch * config.size * (side + config.size) * 3
    return total
