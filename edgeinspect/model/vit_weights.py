"""The weights of a timm vision transformer by the names of our encoder.

Our encoder has no class token, sees pixels as (x - 0.5) * 4, and keeps q apart from k and v; all
else is the same arithmetic. The other normalisation is folded into the patch embedding, so that
tokens of an image in [0, 1] equal those that timm makes of it normalised. A state dict does not
say how many heads there are: they are taken to be 64 wide, as ours and timm's usual ones are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from edgeinspect.config import PRESETS, GeneratorConfig
from edgeinspect.errors import ConfigError, TrainingError, first_line
from edgeinspect.model.encoder import Encoder

__all__ = ["count_blocks", "translate_weights"]

LAYERS = {  # of a block: timm's name -> ours
    "norm1": ("norm_attention",),
    "attn.qkv": ("attention.query", "attention.key_value"),
    "attn.proj": ("attention.output",),
    "norm2": ("norm_mlp",),
    "mlp.fc1": ("mlp.fc1",),
    "mlp.fc2": ("mlp.fc2",),
}
KINDS = ("weight", "bias")
NO_PLACE = ("cls_token", "dist_token", "reg_token")  # tokens that are no patch
ASK_FOR = "use those of a plain one, such as vit_tiny_patch16_224 or deit_tiny_patch16_224"


def translate_weights(
    theirs: Mapping[str, Tensor],
    config: GeneratorConfig,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    name: str,
) -> dict[str, Tensor]:
    """Weights of `Encoder(config)`, all but those of its norm if theirs has more blocks.

    Args:
        theirs: state dict of a timm VisionTransformer, float.
        mean, std: (3,), how the pixels were normalised that it was trained on.
        name: of the weights, for the error's text.
    Raises: TrainingError if it is no plain vision transformer; ConfigError if its width, patch or
        mlp_ratio is another than the encoder's, or it has fewer blocks.
    """
    _refuse_other_kinds(theirs, config, name)
    try:
        _refuse_other_sizes(theirs, config, name)
        ours = _embedding(theirs, config, torch.tensor(mean), torch.tensor(std))
        ours |= _blocks(theirs, config)
        if count_blocks(theirs) == config.depth:
            ours |= {f"norm.{kind}": theirs[f"norm.{kind}"] for kind in KINDS}
        Encoder(config).load_state_dict(ours, strict=False)
    except (KeyError, ValueError, RuntimeError) as error:
        last = str(error).strip().rpartition("\n")[2].strip()  # before it, which module it was
        reason = last or first_line(error)
        raise TrainingError(f"{name} does not fit the encoder: {reason}", hint=ASK_FOR) from error
    return ours


def count_blocks(theirs: Mapping[str, Tensor]) -> int:
    """Blocks of a timm VisionTransformer's state dict."""
    return len({key.split(".")[1] for key in theirs if key.startswith("blocks.")})


def _refuse_other_kinds(theirs: Mapping[str, Tensor], config: GeneratorConfig, name: str) -> None:
    """All that leads to the output of the blocks must be there, and nothing that we lack."""
    blocks = [f"blocks.{i}." for i in range(max(1, min(config.depth, count_blocks(theirs))))]
    layers = ["patch_embed.proj", *(block + layer for block in blocks for layer in LAYERS)]
    wanted = {f"{layer}.{kind}" for layer in layers for kind in KINDS} | {"pos_embed"}
    before_the_end = ("patch_embed.", "norm_pre.", "rope.", *blocks)
    missing = wanted - theirs.keys()
    beyond = {key for key in theirs.keys() - wanted if key.startswith(before_the_end)}
    for has, keys in (("it lacks", sorted(missing)), ("it also has", sorted(beyond))):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise TrainingError(
                f"{name} is not a plain vision transformer of timm: {has} {keys[0]}{more}",
                hint=ASK_FOR,
            )


def _refuse_other_sizes(theirs: Mapping[str, Tensor], config: GeneratorConfig, name: str) -> None:
    width, _, _, patch = theirs["patch_embed.proj.weight"].shape
    hidden = theirs["blocks.0.mlp.fc1.weight"].shape[0]
    is_same_mlp = hidden == int(width * config.mlp_ratio)
    for setting, its, ours in (
        ("width", width, config.width),
        ("patch", patch, config.patch),
        ("mlp_ratio", config.mlp_ratio if is_same_mlp else hidden / width, config.mlp_ratio),
        ("depth", min(count_blocks(theirs), config.depth), config.depth),
    ):
        if its != ours:
            presets = [p for p, c in PRESETS.items() if c.generator.width == its]
            change = f"--set {setting}={its:g}"
            if setting == "width" and presets:
                change = f"--preset {presets[0]}"
            raise ConfigError(
                f"{setting} of {name} is {its:g}, that of the encoder {ours:g}",
                hint=f"use {change}, or other weights",
            )


def _embedding(
    theirs: Mapping[str, Tensor], config: GeneratorConfig, mean: Tensor, std: Tensor
) -> dict[str, Tensor]:
    """With u = (x - 0.5) * 4: (x - mean) / std = u / (4 * std) + (0.5 - mean) / std."""
    weight = theirs["patch_embed.proj.weight"]  # (D, 3, P, P)
    shift = weight.sum(dim=(2, 3)) @ ((0.5 - mean) / std)
    return {
        "embedding.patches.proj.weight": weight / (4 * std[:, None, None]),
        "embedding.patches.proj.bias": theirs["patch_embed.proj.bias"] + shift,
        "embedding.position": _position(theirs, config.size // config.patch),
    }


def _position(theirs: Mapping[str, Tensor], side: int) -> Tensor:
    """Their positions on our grid, (1, N, D), without those of tokens that are no patch."""
    table = theirs["pos_embed"]
    n = table.shape[1]
    n_no_place = sum(theirs[key].shape[1] for key in NO_PLACE if key in theirs)
    for n_prefix in (n_no_place, 0):  # such tokens have positions, or none
        if math.isqrt(n - n_prefix) ** 2 == n - n_prefix:
            table = resample_abs_pos_embed(table, [side, side], num_prefix_tokens=n_prefix)
            return table[:, n_prefix:]
    raise ValueError(f"its {n} positions are not those of a square")


def _blocks(theirs: Mapping[str, Tensor], config: GeneratorConfig) -> dict[str, Tensor]:
    """The first `depth` blocks; q, k, v lie in this order, head by head, as ours do."""
    ours: dict[str, Tensor] = {}
    for i in range(config.depth):
        for layer, names in LAYERS.items():
            for kind in KINDS:
                tensor = theirs[f"blocks.{i}.{layer}.{kind}"]
                parts = tensor.split([config.width, 2 * config.width]) if names[1:] else (tensor,)
                ours |= {f"blocks.{i}.{n}.{kind}": p for n, p in zip(names, parts, strict=True)}
    return ours
