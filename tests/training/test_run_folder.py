from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from edgeinspect.config import RunConfig
from edgeinspect.errors import TrainingError
from edgeinspect.training.run_folder import BackboneOrigin, Plan, RunFolder

PLAN = Plan(
    config=RunConfig(),
    n_steps=10,
    folder="pictures",
    training={"ab": "1.png"},
    holdout={"cd": "2.png"},
    skipped=("3.png",),
    mean=0.5,
    spread=0.1,
    backbone_weights=BackboneOrigin(file="weights.pt", sha256="ef"),
)


@pytest.mark.parametrize("plan", [PLAN, dataclasses.replace(PLAN, backbone_weights=None)])
def test_a_run_is_found_again_as_it_was_begun(tmp_path: Path, plan: Plan) -> None:
    RunFolder.create(tmp_path / "run", plan)
    assert RunFolder.open(tmp_path / "run").plan == plan


@pytest.mark.parametrize(
    "edited",
    [{"n_steps": "10"}, {"training": ["1.png"]}, {"holdout": {"cd": 2}}, {"mean": None}, {"x": 1}],
)
def test_a_run_that_was_edited_by_hand_is_refused_in_one_line(tmp_path: Path, edited) -> None:
    RunFolder.create(tmp_path / "run", PLAN)
    file = tmp_path / "run" / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **edited}))
    with pytest.raises(TrainingError, match=f"damaged: .*{next(iter(edited))}"):
        RunFolder.open(tmp_path / "run")
