"""The GPU benchmark's plan: what comes first, and that everything is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.plan import BATCHES, EXPORT, plan
from edgeinspect.config import Form

ROOT = Path(__file__).parents[2]


def test_the_default_form_of_edge_is_measured_on_every_runtime_first() -> None:
    steps = [step for group in plan(is_rehearsal=False) for step in group]
    measured = [s for s in steps if s.model is not None and s.name != EXPORT]
    assert {(s.model.name, s.batches) for s in measured[:7]} == {("edge-cross-merge0", BATCHES)}
    assert measured[0].name == "tensorrt"


def test_every_model_of_the_plan_is_exported_before_it_is_measured() -> None:
    exported = set()
    for group in plan(is_rehearsal=False):
        for step in group:
            if step.name == EXPORT:
                exported.add(step.model)
            assert step.model is None or step.model in exported


def test_models_are_the_presets_with_form_and_merging_changed() -> None:
    models = {s.model for group in plan(is_rehearsal=False) for s in group if s.model}
    assert {m.name for m in models} == {
        "edge-cross-merge0",
        "edge-cross-merge16",
        "edge-all-merge0",
        "paper-cross-merge0",
    }
    paper = next(m for m in models if m.preset == "paper").config().generator
    assert (paper.form, paper.width, paper.merge) == (Form.CROSS, 512, 0)


@pytest.mark.slow
def test_the_first_steps_run_on_a_cpu_and_write_their_results(tmp_path: Path) -> None:
    """Driver, peak, export, and ONNX Runtime's CPU; the driver is recorded as missing."""
    out = tmp_path / "result.json"
    options = ["--rehearse", "--steps", "4", "--out", str(out), "--work", str(tmp_path / "work")]
    command = [sys.executable, "-m", "benchmarks.gpu.measure", *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    driver, peak, export, cpu = json.loads(out.read_text())["steps"]
    assert "why" in driver["cuda-python"] or driver["cuda-python"]["is_equal"]
    assert peak["tflop_per_s"] > 0
    assert export["status"] == "ok"
    for found in cpu["by_batch"].values():
        assert found["parity"]["problems"] == []
        assert found["infer"]["p50_ms"] > 0
