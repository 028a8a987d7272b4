"""The model card: numbers of the run in people's units."""

from __future__ import annotations

import pytest

from edgeinspect.config import PreprocessConfig, ResizeRule, RunConfig, preset
from edgeinspect.export.card import write_card
from edgeinspect.parity import ParityReport

PARITY = ParityReport(
    n_images=2,
    n_ties=0,
    score_error=1.5e-6,
    map_error=2e-5,
    map_correlation=1.0,
    n_scale_changes=0,
    problems=(),
)
PROVENANCE = {
    "n_training": 112,
    "n_holdout": 13,
    "n_steps": 500,
    "mean": 0.5,
    "training": {"step": 450, "best_step": 400, "best_error": 0.02, "seconds": 90.0},
}


def card(config: RunConfig | None = None, provenance: dict[str, object] | None = None) -> str:
    return write_card(
        "part",
        preset("tiny") if config is None else config,
        PROVENANCE if provenance is None else provenance,
        n_parameters=3_210_000,
        parity=PARITY,
        golden_names=["a.png", "noise"],
    )


@pytest.mark.parametrize(
    "line",
    [
        "| parameters | 3.21 million |",
        "| masks | blocks of 16 and 32 and 64 px, patch 16 px |",
        "| good pictures held out | 13 |",
        "| steps | 450 of 500 |",
        "| minutes | 1.5 |",
        "| error on held-out images (L1, grey levels of 255) | 5.10 |",
        "| mean grey level | 127.5 |",
        "| largest difference of a score | 1.5e-06 |",
        "| images | a.png, noise |",
    ],
)
def test_the_card_says(line: str) -> None:
    assert line in card()


def test_what_the_run_does_not_know_is_left_out() -> None:
    text = card(provenance={})
    assert "minutes" not in text
    assert "None" not in text


def test_tiling_is_told_with_its_overlap() -> None:
    config = RunConfig(preprocess=PreprocessConfig(resize=ResizeRule.TILE, scale=0.5))
    assert "tiles that overlap by 32 px or more" in card(config)
    assert "| scale | 0.5 of the picture's |" in card(config)
