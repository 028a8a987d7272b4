"""What is settled before the first step."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
from pathlib import Path

import numpy as np
import pytest

from edgeinspect.config import ResizeRule
from edgeinspect.errors import ConfigError, ImageError
from edgeinspect.training.planning import Duration, make_plan
from tests.data.picture_files import made_picture, write
from tests.training.settings import feature_config, small_config, write_good


@pytest.mark.parametrize("length", [0.0, -1.0, math.nan, math.inf])
def test_a_length_without_an_end_is_refused(length: float) -> None:
    with pytest.raises(ConfigError, match="it must be above 0, and end"):
        Duration(minutes=length)


def test_every_picture_is_in_one_list_of_the_plan(tmp_path: Path) -> None:
    for i in range(6):
        write(tmp_path / f"{i}.png", made_picture(64, 64, seed=i))
    (tmp_path / "broken.png").touch()
    plan = make_plan(tmp_path, small_config(), resize=None)
    assert plan.skipped == ("broken.png",)
    assert sorted([*plan.training.values(), *plan.holdout.values()]) == [
        f"{i}.png" for i in range(6)
    ]
    assert plan.config.preprocess.resize is ResizeRule.SQUASH


@pytest.mark.parametrize(("feature_memory", "is_refused"), [("50", True), ("0", False)])
def test_a_memory_needs_pictures_that_it_does_not_hold(
    tmp_path: Path, feature_memory: str, is_refused: bool
) -> None:
    write_good(tmp_path)
    config = feature_config("features", holdout="0", feature_memory=feature_memory)
    refused = pytest.raises(ConfigError, match="with holdout=0 no good picture says how far")
    with refused if is_refused else contextlib.nullcontext():
        assert make_plan(tmp_path, config, resize=None).holdout == {}


def test_the_white_level_of_a_camera_is_found_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    for i in range(4):
        write(tmp_path / f"{i}.png", rng.integers(0, 4096, (64, 64), dtype=np.uint16))
    with caplog.at_level(logging.INFO):
        plan = make_plan(tmp_path, small_config(), resize=None)
    assert plan.config.preprocess.white_level_16bit == 4095
    assert plan.mean == pytest.approx(0.5, abs=0.05)
    assert "white is taken as 4095" in caplog.text


def test_a_white_level_that_was_set_is_the_one_of_the_survey(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(4):
        write(tmp_path / f"{i}.png", rng.integers(0, 1024, (64, 64), dtype=np.uint16))
    config = small_config()
    preprocess = dataclasses.replace(config.preprocess, white_level_16bit=4095)
    plan = make_plan(tmp_path, dataclasses.replace(config, preprocess=preprocess), resize=None)
    assert plan.config.preprocess.white_level_16bit == 4095
    assert plan.mean == pytest.approx(0.125, abs=0.01)


@pytest.mark.parametrize(
    ("side", "scale", "is_said"), [(192, None, False), (256, None, True), (256, 1.0, False)]
)
def test_what_large_pictures_lose_is_said_unless_a_scale_was_chosen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, side: int, scale: float | None, is_said: bool
) -> None:
    for i in range(4):
        write(tmp_path / f"{i}.png", made_picture(side, side + 8, seed=i))
    config = small_config()
    preprocess = dataclasses.replace(
        config.preprocess, resize=ResizeRule.TILE, scale=scale, size=64
    )
    make_plan(tmp_path, dataclasses.replace(config, preprocess=preprocess), resize=None)
    assert ("px are reduced 4 times" in caplog.text) is is_said
    assert ("use --preset fine; or --set scale=0.5" in caplog.text) is is_said


def test_a_picture_that_cannot_be_cut_is_named_before_training(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / f"{i}.png", made_picture(64, 64, seed=i))
    write(tmp_path / "tiny.png", made_picture(4, 4))
    with pytest.raises(ImageError, match=r"tiny\.png: a picture of 4 x 4 px is too small"):
        make_plan(tmp_path, small_config(), resize=None)


def test_a_copy_of_a_training_picture_does_not_choose_the_checkpoint(tmp_path: Path) -> None:
    for i in range(10):
        write(tmp_path / f"{i}.png", made_picture(64, 64, seed=i // 2))
    plan = make_plan(tmp_path, small_config(), resize=None)
    assert len(plan.training) + len(plan.holdout) == 5
    assert not set(plan.training) & set(plan.holdout)
