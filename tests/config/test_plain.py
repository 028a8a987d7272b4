"""Settings as plain JSON, and as `key=value` words."""

from __future__ import annotations

import json

import pytest

from edgeinspect.config import (
    PRESETS,
    Measure,
    ResizeRule,
    RunConfig,
    Target,
    from_dict,
    preset,
    to_dict,
    with_settings,
)
from edgeinspect.errors import ConfigError


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_json(name: str) -> None:
    plain = json.loads(json.dumps(to_dict(PRESETS[name])))
    assert from_dict(RunConfig, plain) == PRESETS[name]


def test_a_key_finds_the_one_part_that_has_it() -> None:
    changed = with_settings(
        RunConfig(), {"l1": "2", "measures": "ssim,l1", "flip_vertical": "false"}
    )
    assert changed.losses.l1 == 2.0
    assert changed.scoring.measures == (Measure.SSIM, Measure.L1)
    assert changed.augment.flip_vertical is False


@pytest.mark.parametrize(
    ("target", "measures", "other"),
    [
        ("features", "l1", "l1"),
        ("features", "features,ssim", "ssim"),
        ("pixels", "l1,whole", "whole"),
    ],
)
def test_measures_of_what_the_target_has_not_are_refused(
    target: str, measures: str, other: str
) -> None:
    config = preset("tiny", Target(target))
    with pytest.raises(ConfigError, match=f"names {other}, of which target {target} knows nothing"):
        with_settings(config, {"scoring.measures": measures})


def test_width_is_the_generator_s_unless_a_part_is_named() -> None:
    changed = with_settings(RunConfig(), {"width": "128", "discriminator.width": "64"})
    assert (changed.generator.width, changed.discriminator.width) == (128, 64)


def test_a_scale_means_tiles_unless_told_otherwise() -> None:
    assert with_settings(RunConfig(), {"scale": "0.5"}).preprocess.resize is ResizeRule.TILE
    with pytest.raises(ConfigError, match="scale was set, but whole pictures are resized"):
        with_settings(RunConfig(), {"scale": "0.5", "resize": "squash"})


def test_size_sets_the_image_s_and_the_preprocessing_s() -> None:
    changed = with_settings(RunConfig(), {"size": "128"})
    assert (changed.generator.size, changed.preprocess.size) == (128, 128)


def test_null_takes_a_setting_back() -> None:
    assert with_settings(PRESETS["edge"], {"decoder_width": "null"}).generator.decoder_width is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widht": "128"}, "there is no setting widht; did you mean width"),
        ({"seed.width": "1"}, "there is no setting seed.width"),
        ({"preset": "edge"}, "there is no setting preset"),
        ({"form": "crossed"}, "form is 'crossed'; use one of all, visible, cross"),
        ({"width": "wide"}, "generator.width is 'wide', which is not a whole number"),
        ({"learning_rate": "nan"}, "learning_rate is nan"),
        ({"clip_norm": "inf"}, "clip_norm is inf"),
    ],
)
def test_a_setting_that_cannot_be_is_named(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_settings(RunConfig(), settings)


@pytest.mark.parametrize("junk", [[], "cross", 3, None])
def test_a_part_that_is_no_mapping_is_a_config_error(junk: object) -> None:
    with pytest.raises(ConfigError, match=r"generator is .*, which is not a group of settings"):
        from_dict(RunConfig, {"generator": junk})
