"""The model card: what manifest and calibration know, in people's units."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest

from edgeinspect.bundle import Manifest
from edgeinspect.card import markdown_table, write_card
from edgeinspect.config import PreprocessConfig, ResizeRule, RunConfig, Target, preset, to_dict
from edgeinspect.constants import Calibration
from tests.test_constants import some_calibration

PROVENANCE: dict[str, Any] = {
    "n_training": 112,
    "n_holdout": 13,
    "n_steps": 500,
    "seconds": 120.0,
    "mean": 0.5,
    "n_parameters": 3_210_000,
    "training_pictures": {"bb": "2.png", "aa": "1.png"},
    "holdout_pictures": {"cc": "3.png"},
    "training": {"step": 450, "best_step": 400, "best_error": 0.02, "seconds": 90.0},
    "hardware": {"cpu": "a processor", "cores": "2 cores"},
    "check": {"images": ["a.png", "noise"], "score_error": 1.5e-6, "map_error": 2e-5},
    "versions": {"torch": "2.15.0"},
}


def card(
    config: RunConfig | None = None,
    calibration: Calibration | None = None,
    findings: tuple[str, ...] = (),
    **provenance: object,
) -> str:
    config = preset("tiny", Target.PIXELS) if config is None else config
    manifest = Manifest(
        tool_version="1.2",
        name="part",
        config=to_dict(config),
        graph={},
        provenance={**PROVENANCE, **provenance},
    )
    return write_card(manifest, config, calibration, findings=findings)


@pytest.mark.parametrize(
    "line",
    [
        "| parameters | 3.21 million |",
        "| masks | blocks of 16, 32 and 64 px, patch 16 px |",
        "| preset | tiny |",
        "| target | pixels |",
        "| settings beside the preset's | none |",
        "| steps | 500 |",
        "| minutes | 2.0 |",
        "| exported step | 400 |",
        "| minutes up to it | 1.5 |",
        "| hardware | a processor, 2 cores |",
        "| error on held-out images (L1, grey levels of 255) | 5.10 |",
        "| mean grey level | 127.5 |",
        "| largest difference of a score | 1.5e-06 |",
        "| images | a.png, noise |",
        "| edgeinspect | 1.2 |",
    ],
)
def test_the_card_says(line: str) -> None:
    assert line in card()


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (Target.PIXELS, "by how far the reconstruction is from it.\n"),
        (
            Target.FEATURES,
            "by how far its own are from the reconstructed ones, and its features from the",
        ),
        (Target.BOTH, "the pixels that block masks remove and their features, by a pretrained"),
    ],
)
def test_the_card_says_what_a_part_is_judged_by(target: Target, sentence: str) -> None:
    assert sentence in card(preset("tiny", target))


def test_without_a_memory_of_features_none_is_told_of() -> None:
    config = preset("tiny", Target.FEATURES)
    without = dataclasses.replace(config.generator, feature_memory=0)
    assert "remembered" not in card(dataclasses.replace(config, generator=without))


def test_what_the_generator_adds_to_is_told_for_what_the_target_has() -> None:
    pixels, features = "| pixels are added to |", "| features are added to |"
    held = {
        target: [row in card(preset("tiny", target)) for row in (pixels, features)]
        for target in Target
    }
    assert held[Target.PIXELS] == [True, False]
    assert held[Target.FEATURES] == [False, True]
    assert held[Target.BOTH] == [True, True]


def test_one_block_is_no_plural() -> None:
    assert "| decoder | 1 block, width 64 |" in card(preset("nano", Target.PIXELS))


def test_a_start_that_was_the_best_is_told() -> None:
    state = {"best_step": 0, "best_error": 0.02, "fill_error": 0.02}
    assert "| exported step | 0, the start: no later one had" in card(training=state)


def test_with_nothing_held_out_the_error_is_that_of_images_that_trained() -> None:
    text = card(n_holdout=0, holdout_pictures={})
    assert "| error on images that trained (L1" in text
    assert "held-out" not in text
    assert "selected the step" not in text


def test_pictures_are_told_by_use_number_and_hash() -> None:
    listed = hashlib.sha256(b"aa\nbb\n").hexdigest()
    assert f"| trained the generator | 112 | `{listed[:16]}` |" in card()
    assert "| selected the step that was exported | 13 | `" in card()


def test_settings_beside_the_preset_can_be_typed_again() -> None:
    tiny = preset("tiny", Target.PIXELS)
    config = dataclasses.replace(
        tiny,
        generator=dataclasses.replace(tiny.generator, depth=3, mask_scales=(1, 2)),
        preprocess=dataclasses.replace(tiny.preprocess, resize=ResizeRule.TILE),
    )
    assert "| `generator.mask_scales=1,2, generator.depth=3` |" in card(config)


def test_what_the_bundle_does_not_know_is_left_out() -> None:
    config = preset("tiny", Target.PIXELS)
    bare = Manifest(tool_version="0", name="part", config=to_dict(config), graph={})
    text = write_card(bare, config, None)
    assert "minutes" not in text
    assert "None:" in text  # no calibration
    assert "None |" not in text
    assert "## Data" not in text
    assert "## Check" not in text


def test_a_bundle_never_calibrated_says_that_it_judges_nothing() -> None:
    assert "judges nothing until it is calibrated" in card()


@pytest.mark.parametrize(
    "line",
    [
        "| calibrated constants and threshold | 3 | `feed` |",
        "| rule of the verdict | peak of l1, ssim |",
        "| normalisation | pixel |",
        "| threshold | 1.5 (95 %: 1 to 2), a tail fitted to their scores |",
        "| false rejects asked | 1 % |",
        "| false rejects to expect | 0 to 3 % (95 %) |",
    ],
)
def test_a_calibration_is_told(line: str) -> None:
    text = card(calibration=dataclasses.replace(some_calibration(), good_sha256="feed"))
    assert line in text
    assert "judges nothing" not in text


def test_what_is_doubtful_about_the_pictures_stands_beside_them() -> None:
    calibration = dataclasses.replace(some_calibration(), warnings=("two lots",))
    text = card(calibration=calibration, warnings=["two lights"])
    data = text[text.index("## Data") : text.index("## Training")]
    assert "Warning: two lights.\n" in data
    assert "Warning: two lots.\n" in data


def test_findings_of_an_evaluation_come_first_and_end_the_call_for_one() -> None:
    text = card(findings=("## Figures\n\nAUROC 0.9\n",))
    assert text.index("## Figures") < text.index("## Use and limits")
    assert "is not in this card" not in text
    assert "is not in this card" in card()


def test_tiling_is_told_with_its_overlap() -> None:
    config = RunConfig(preprocess=PreprocessConfig(resize=ResizeRule.TILE, scale=0.5))
    assert "tiles that overlap by 32 px or more" in card(config)
    assert "| scale | 0.5 of the picture's |" in card(config)


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert markdown_table(["a"], [["x|y"]]) == "| a |\n| --- |\n| x\\|y |\n"


def test_a_run_that_was_stopped_is_told_by_the_steps_it_made() -> None:
    assert "| steps | 400 of 500: stopped before its end |" in card(n_steps_done=400)


def test_the_card_says_of_which_images_features_are() -> None:
    row = "| features are those of | images of 512 and 256 px, every 8, 16 and 32 px |"
    assert row in card(preset("fine"))
    assert "| features are those of |" not in card(preset("fine", Target.PIXELS))
