"""timm's own models against our encoder with their weights: the same tokens come out."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models import VisionTransformer

from edgeinspect.config import GeneratorConfig, RunConfig, Target, preset, with_settings
from edgeinspect.errors import ConfigError, TrainingError
from edgeinspect.model.encoder import Encoder
from edgeinspect.model.vit_weights import translate_weights

HALF = (0.5, 0.5, 0.5)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SMALL = {"img_size": 64, "patch_size": 16, "embed_dim": 64, "depth": 3, "num_heads": 1}
# Other order of the same float sums, through up to twelve blocks of outputs near 1.
TOKENS = {"rtol": 1e-4, "atol": 1e-4}


def made(name: str = "vit_tiny_patch16_224", seed: int = 0, **changes: object) -> VisionTransformer:
    """A model of timm's in which nothing is zero or one, as in a trained one."""
    torch.manual_seed(seed)
    model = timm.create_model(name, pretrained=False, num_classes=0, **changes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    assert isinstance(model, VisionTransformer)
    return model.eval()


def small(**changes: object) -> VisionTransformer:
    return made(**{**SMALL, **changes})  # type: ignore[arg-type]


def config_of(name: str = "tiny", **settings: str) -> GeneratorConfig:
    config: RunConfig = with_settings(preset(name, Target.PIXELS), settings)
    return config.generator


def small_config(**settings: str) -> GeneratorConfig:
    """Fits `small`."""
    fitting = {"size": "64", "mask_scales": "1,2", "width": "64", "depth": "2"}
    return config_of("nano", **fitting | settings)


def tokens_of_timm(
    model: VisionTransformer, normalised: torch.Tensor, *, depth: int, with_norm: bool
) -> torch.Tensor:
    """timm's modules, one by one, without class token."""
    side = normalised.shape[-1] // model.patch_embed.patch_size[0]
    position = resample_abs_pos_embed(
        model.pos_embed, [side, side], num_prefix_tokens=model.num_prefix_tokens
    )
    model.patch_embed.strict_img_size = False
    x = model.patch_embed(normalised) + position[:, model.num_prefix_tokens :]
    for block in model.blocks[:depth]:
        x = block(x)
    return model.norm(x) if with_norm else x


def ours_with(
    model: VisionTransformer, config: GeneratorConfig, mean=HALF, std=HALF
) -> tuple[Encoder, list[str]]:
    """Our encoder with the weights of timm's, and the names that kept their own."""
    weights = translate_weights(model.state_dict(), config, mean=mean, std=std, name="it")
    encoder = Encoder(config)
    kept = encoder.load_state_dict(weights, strict=False).missing_keys
    return encoder.eval(), kept


@pytest.mark.parametrize(
    ("name", "preset_name", "mean", "std"),
    [
        ("vit_tiny_patch16_224", "tiny", HALF, HALF),
        ("vit_small_patch16_384", "edge", HALF, HALF),
        ("deit_tiny_patch16_224", "tiny", *IMAGENET),
        ("deit_tiny_distilled_patch16_224", "tiny", *IMAGENET),
    ],
)
@torch.no_grad()
def test_the_first_blocks_compute_what_timms_do(name, preset_name, mean, std):
    model, config = made(name), config_of(preset_name)
    images = torch.rand(2, 3, 256, 256)
    normalised = (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    encoder, kept = ours_with(model, config, mean, std)
    theirs = tokens_of_timm(model, normalised, depth=config.depth, with_norm=False)
    torch.testing.assert_close(encoder(images), encoder.norm(theirs), **TOKENS)
    assert kept == ["norm.weight", "norm.bias"]


@torch.no_grad()
def test_with_all_their_blocks_their_last_norm_comes_along():
    model, images = made(), torch.rand(1, 3, 256, 256)
    encoder, kept = ours_with(model, config_of(depth="12"))
    theirs = tokens_of_timm(model, (images - 0.5) / 0.5, depth=12, with_norm=True)
    torch.testing.assert_close(encoder(images), theirs, **TOKENS)
    assert kept == []


@torch.no_grad()
def test_the_other_normalisation_is_folded_into_the_patch_embedding():
    mean, std = (torch.tensor(values)[:, None, None] for values in IMAGENET)
    model, images = small(), torch.rand(2, 3, 64, 64)
    encoder, _ = ours_with(model, small_config(), *IMAGENET)
    theirs = model.patch_embed((images - mean) / std)
    torch.testing.assert_close(encoder.embedding.embed(images), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("has_class_position", [True, False])
def test_positions_of_the_same_grid_are_taken_as_they_are(has_class_position):
    model = small(no_embed_class=not has_class_position, reg_tokens=4)
    encoder, _ = ours_with(model, small_config())
    assert torch.equal(encoder.embedding.position, model.pos_embed[:, -16:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": 192, "num_heads": 3}, r"width of it is 192, .* 64; use --preset tiny"),
        ({"embed_dim": 320, "num_heads": 5}, r"width of it is 320, .* 64; use --set width=320"),
        ({"patch_size": 8}, r"patch of it is 8, that of the encoder 16; use --set patch=8"),
        ({"mlp_ratio": 3}, r"mlp_ratio of it is 3, that of the encoder 4; use --set mlp_ratio=3"),
        ({"depth": 1}, r"depth of it is 1, that of the encoder 2; use --set depth=1, or other"),
    ],
)
def test_another_size_is_refused_with_the_setting_that_fits(changes, message):
    with pytest.raises(ConfigError, match=message):
        ours_with(small(**changes), small_config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init_values": 0.1}, r"it also has blocks.0.ls1.gamma and 3 more; use those of a plain"),
        ({"qk_norm": True}, r"it also has blocks.0.attn.k_norm.bias and 7 more"),
        ({"pre_norm": True}, r"it lacks patch_embed.proj.bias"),
        ({"qkv_bias": False}, r"it lacks blocks.0.attn.qkv.bias and 1 more"),
        ({"in_chans": 1}, r"it does not fit the encoder: "),
        ({"img_size": (96, 32)}, r"does not fit the encoder: its 13 positions are not those of a"),
    ],
)
def test_what_our_encoder_does_not_compute_is_refused(changes, message):
    with pytest.raises(TrainingError, match=message):
        ours_with(small(**changes), small_config())


def test_weights_of_something_else_are_refused():
    with pytest.raises(TrainingError, match=r"it lacks blocks.0.attn.proj.bias and 14 more"):
        translate_weights(
            {"fc.weight": torch.zeros(2)}, small_config(), mean=HALF, std=HALF, name="it"
        )


def test_a_tensor_of_another_shape_is_named():
    weights = {**small().state_dict(), "blocks.1.norm2.bias": torch.zeros(7)}
    with pytest.raises(TrainingError, match=r"size mismatch for blocks.1.norm_mlp.bias"):
        translate_weights(weights, small_config(), mean=HALF, std=HALF, name="it")
