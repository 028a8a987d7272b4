"""Settings that cannot be are refused when they are made, with the values."""

from __future__ import annotations

import math
from typing import Any

import pytest

from edgeinspect.config import (
    AugmentConfig,
    DiscriminatorConfig,
    Form,
    GeneratorConfig,
    LossConfig,
    Measure,
    OptimiserConfig,
    PreprocessConfig,
    Prior,
    RunConfig,
    ScoringConfig,
    Statistic,
    Target,
    default_preset,
    from_dict,
    preset,
    to_dict,
    with_settings,
)
from edgeinspect.errors import ConfigError


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (GeneratorConfig, {"width": 100}, "width is 100, but heads are 64 wide; .* such as 128"),
        (GeneratorConfig, {"size": 96}, "size is 96 px, which mask blocks of 32 px do not halve"),
        (GeneratorConfig, {"size": 320, "mask_scales": (2, 3)}, "use a multiple of 192 px"),
        (GeneratorConfig, {"depth": 10**9}, "depth is 1000000000: it must be at most 1000"),
        (GeneratorConfig, {"decoder_mlp_ratio": -1.0}, "decoder_mlp_ratio is -1.0: it must be at"),
        (GeneratorConfig, {"feature_memory": 10**9}, "it must be at most 300000"),
        (GeneratorConfig, {"merge": 1000}, "can merge at most"),
        (GeneratorConfig, {"merge": -1}, "none below 0"),
        (GeneratorConfig, {"merge": (8, 8)}, "for 6 blocks; give one number for all"),
        (
            GeneratorConfig,
            {"merge": (0, 0, 32, 32, 33, 0)},
            "block 5 of form cross, on 64 tokens, can merge at most 32",
        ),
        (GeneratorConfig, {"mask_scales": ()}, "at least one block side"),
        (
            GeneratorConfig,
            {"target": Target.FEATURES, "prior": Prior.NONE},
            "prior is none, which target features does not have",
        ),
        (
            GeneratorConfig,
            {"target": Target.BOTH, "feature_strides": (16, 16)},
            r"feature_strides is \(16, 16\): name each once, of 4, 8, 16, 32",
        ),
        (GeneratorConfig, {"target": Target.BOTH, "feature_strides": ()}, "name each once"),
        (GeneratorConfig, {"target": Target.BOTH, "feature_strides": (2,)}, "name each once"),
        (
            GeneratorConfig,
            {"target": Target.FEATURES, "size": 192, "patch": 12},
            "features every 8 px do not fit tokens of 12 px on 192 px; use a patch of 16, 32 or 64",
        ),
        (
            GeneratorConfig,
            {"target": Target.FEATURES, "size": 112, "patch": 8, "mask_scales": (1,)},
            "features every 32 px do not fit",
        ),
        (
            GeneratorConfig,
            {"target": Target.FEATURES, "size": 192, "mask_scales": (1,), "feature_octaves": 3},
            "features every 128 px do not fit tokens of 16 px on 192 px",
        ),
        (GeneratorConfig, {"feature_octaves": 0}, "feature_octaves is 0: it must be at least 1"),
        (GeneratorConfig, {"feature_octaves": 60}, "it must be at most 4"),
        (
            RunConfig,
            {"generator": GeneratorConfig(target=Target.FEATURES)},
            "losses.adversarial and losses.latent compare pictures, .* or target=both",
        ),
        (
            RunConfig,
            {"scoring": ScoringConfig(measures=(Measure.FEATURES,))},
            "scoring.measures names none of pixels, which the target has",
        ),
        (
            RunConfig,
            {"scoring": ScoringConfig(blur_px=999)},
            "blur_px is 999 px, more than the largest mask block, 64 px: defects would be blurred",
        ),
        (RunConfig, {"augment": AugmentConfig(shift_px=1000)}, "more than an image.s side, 256 px"),
        (
            RunConfig,
            {
                "generator": GeneratorConfig(size=30, patch=15, mask_scales=(1,)),
                "preprocess": PreprocessConfig(size=30, overlap_px=8),
                "losses": LossConfig(adversarial=0.0),
            },
            "size is 30 px, which the measure msgms cannot halve twice",
        ),
        (
            RunConfig,
            {"discriminator": DiscriminatorConfig(depth=10, merge=200)},
            "no two of 256 tokens are left for block 9 of 10; set it to at most 23",
        ),
        (DiscriminatorConfig, {"width": 100}, "discriminator.width is 100, but heads are 64 wide"),
        (AugmentConfig, {"brightness": 20.0}, "brightness is 20.0: it must be at most 1"),
        (LossConfig, {"consistency": 0.0}, "nothing would ask for a good reconstruction"),
        (OptimiserConfig, {"holdout": 1.0}, "holdout is 1.0"),
        (OptimiserConfig, {"batch": 10**6}, "batch is 1000000: it must be at most 4096"),
        (OptimiserConfig, {"learning_rate": math.nan}, "learning_rate is nan"),
        (OptimiserConfig, {"seed": 10**23}, "it must be at most"),
        (PreprocessConfig, {"scale": 0.5}, "set resize=tile"),
        (PreprocessConfig, {"scale": 1e300}, "it must be above 0 and at most 8"),
        (PreprocessConfig, {"white_level_16bit": 70000}, "it must be at most 65535"),
        (PreprocessConfig, {"overlap_px": 256}, "it must be 0 to 255"),
        (ScoringConfig, {"statistics": (Statistic.MAX,)}, "lacks mean"),
        (ScoringConfig, {"blur_px": 2}, "it must be odd"),
        (RunConfig, {"generator": GeneratorConfig(size=128)}, "which sets both"),
    ],
)
def test_a_combination_that_cannot_be_is_refused(
    kind: type, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**settings)


@pytest.mark.parametrize(
    ("target", "measures"),
    [
        ("pixels", ("l1", "ssim")),
        ("features", ("features", "whole")),
        ("both", ("l1", "ssim", "features", "whole")),
    ],
)
def test_the_measures_follow_from_the_target(target: str, measures: tuple[str, ...]) -> None:
    pixels = with_settings(preset("tiny", Target.PIXELS), {"measures": "l1,ssim"})
    config = with_settings(pixels, {"target": target})
    assert tuple(measure.value for measure in config.scoring.measures) == measures


def test_strides_matter_to_targets_with_features_alone() -> None:
    assert GeneratorConfig(target=Target.PIXELS, feature_strides=(5,)).feature_strides == (5,)


def test_a_decoder_is_as_wide_as_the_encoder_unless_told() -> None:
    assert GeneratorConfig(width=128).width_of_decoder == 128
    assert GeneratorConfig(width=128, decoder_width=64).width_of_decoder == 64


def test_a_pass_encodes_all_tokens_in_the_paper_s_form_and_half_in_the_others() -> None:
    assert GeneratorConfig(form=Form.ALL).n_tokens_encoded == 256
    assert GeneratorConfig(form=Form.CROSS).n_tokens_encoded == 128


def test_an_unknown_preset_gets_the_near_one() -> None:
    with pytest.raises(ConfigError, match="there is no preset 'tinny'; did you mean tiny"):
        preset("tinny")


@pytest.mark.parametrize(
    ("target", "name"),
    [(Target.FEATURES, "fine"), (Target.BOTH, "tiny"), (Target.PIXELS, "tiny")],
)
def test_two_sizes_of_an_image_are_the_default_where_features_are(
    target: Target, name: str
) -> None:
    assert default_preset(target) == name
    assert preset(name, target).generator.feature_octaves == (2 if name == "fine" else 1)


@pytest.mark.parametrize(
    ("name", "target", "patch"),
    [
        ("tiny", Target.FEATURES, 32),
        ("fine", Target.FEATURES, 64),
        ("paper", Target.FEATURES, 16),
        ("tiny", Target.BOTH, 16),
        ("tiny", Target.PIXELS, 16),
    ],
)
def test_tokens_are_larger_where_features_alone_are_reconstructed(
    name: str, target: Target, patch: int
) -> None:
    assert preset(name, target).generator.patch == patch


def test_merging_is_one_number_or_one_a_block():
    assert GeneratorConfig(depth=3, merge=8).merge_of_blocks == (8, 8, 8)
    assert GeneratorConfig(depth=3, merge=(0, 8, 16)).merge_of_blocks == (0, 8, 16)


@pytest.mark.parametrize(("text", "merge"), [("8", 8), ("0,0,0,8", (0, 0, 0, 8))])
def test_merging_is_set_by_words_and_read_from_plain_settings(text, merge):
    config = with_settings(preset("tiny", Target.PIXELS), {"merge": text})
    assert config.generator.merge == merge
    assert from_dict(RunConfig, to_dict(config)) == config


@pytest.mark.parametrize("target", [Target.PIXELS, Target.BOTH])
def test_pixels_need_a_term_that_teaches_them(target: Target) -> None:
    none = {"l1": "0", "ssim": "0", "gradient": "0"}
    with pytest.raises(ConfigError, match=rf"nothing would ask for the pixels of .*{target.value}"):
        with_settings(preset("nano", target), none)
    for name in none:
        with_settings(preset("nano", target), {**none, name: "1"})


@pytest.mark.parametrize("target", [Target.FEATURES, Target.BOTH])
def test_features_need_a_term_that_teaches_them(target: Target) -> None:
    weight = {"losses.features": "0"}
    with pytest.raises(ConfigError, match=r"losses\.features is 0: nothing would ask"):
        with_settings(preset("nano", target), weight)
    with_settings(preset("nano", Target.PIXELS), weight)
