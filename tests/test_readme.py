"""The README's commands do what it says: executed in order, on small synthetic data."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edgeinspect.config import Target, default_preset

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# What makes a command quick without changing what it does; each must be found in the README.
SMALLER = {
    "synth metal": "synth metal --n-good 60 --n-test 12 --size 128",
    "metal --out run --minutes 10": "metal --out run --steps 2 --preset nano --set size=128"
    " --set patch=16",
    "bench part.bundle --data metal --batch 1,8": "bench part.bundle --data metal --rounds 6",
    "plan part.bundle --deadline-ms 2000": "plan part.bundle --deadline-ms 60000 --batch 1"
    " --seconds 0.5",
    "--minutes 10": "--steps 2 --preset nano --set size=128 --set patch=16",
}
SOME_NG = 1  # what `run` leaves with when there are defects among the parts


@pytest.mark.slow
def test_the_commands_of_the_readme_work_in_order(tmp_path: Path) -> None:
    for language, text in _executed_blocks():
        if language == "python":
            assert re.search(r"\.png (OK|NG) ", _run([sys.executable, "-c", text], tmp_path))
            continue
        for line in text.splitlines():
            command = shlex.split(_smaller(line))
            assert command[0] == "edgeinspect"
            _run([sys.executable, "-m", *command], tmp_path)
    assert (tmp_path / "results" / "records.jsonl").stat().st_size > 0
    assert (tmp_path / "evaluation" / "metrics.json").stat().st_size > 0


def test_every_substitution_is_still_used() -> None:
    for text in SMALLER:
        assert text in README


def test_the_two_commands_of_a_fresh_machine_come_first() -> None:
    first = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first[1].splitlines()] == [
        "make demo",
        "make test",
    ]


def test_every_extra_has_its_row() -> None:
    extras = importlib.metadata.metadata("edgeinspect").get_all("Provides-Extra")
    table = README[README.index("| extra |") :]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == set(extras or [])


def test_the_detection_table_is_what_was_measured() -> None:
    datasets = json.loads((ROOT / "benchmarks/results/quality.json").read_text())["datasets"]
    rows = dict(re.findall(r"^\| `(\w+)` (\|.*)$", README, re.MULTILINE))
    for name, data in datasets.items():
        chosen = data["best"]
        assert chosen["preset"] == default_preset(Target(chosen["target"]))
        best, peer = chosen["image"], data["patchcore"]["image"]
        row = [
            best["auroc"],
            best["recall_at_threshold"],
            best["false_reject_rate"],
            peer["auroc"],
            data["brightness_auroc"],
        ]
        told = [float(value) for value in re.findall(r"\d\.\d{3}", rows[name])]
        assert told == pytest.approx(row, abs=5.1e-4), name


def test_the_speed_figures_are_what_was_measured() -> None:
    cases = json.loads((ROOT / "benchmarks/results/cpu_reference.json").read_text())["cases"]
    found = {
        (case["preset"], case["target"]): case
        for case in cases
        if case["form"] == "cross" and case["variant"] == "onnxruntime-fp32"
    }
    told = re.search(
        r"`tiny` takes (\d+) ms an image, ([\d.]+) times as fast as its own \(.*?\),"
        r" `edge` (\d+) ms and ([\d.]+) times;\s+with pixels ([\d.]+) and ([\d.]+) times",
        README,
        re.DOTALL,
    )
    assert told is not None
    tiny, edge = found["tiny", "features"], found["edge", "features"]
    pixels = [found[name, "pixels"]["ratio_to_baseline"] for name in ("tiny", "edge")]
    figures = [
        tiny["p50_ms"],
        tiny["ratio_to_baseline"],
        edge["p50_ms"],
        edge["ratio_to_baseline"],
        *pixels,
    ]
    for words, figure in zip(told.groups(), figures, strict=True):
        assert float(words) == pytest.approx(figure, rel=0.02)


def test_the_speed_of_the_default_is_what_was_measured() -> None:
    file = ROOT / "benchmarks/results/cpu_reference_avx2.json"
    found = {
        case["preset"]: case
        for case in json.loads(file.read_text())["cases"]
        if case["variant"] == "onnxruntime-fp32"
    }
    told = re.search(
        r"the default\s+takes (\d+) ms an image, ([\d.]+) times as fast as its unoptimised model"
        r" \(95 %: ([\d.]+) to ([\d.]+)\), and `tiny` (\d+) ms",
        README,
    )
    assert told is not None
    default, tiny = found[default_preset(Target.FEATURES)], found["tiny"]
    figures = [default["p50_ms"], default["ratio_to_baseline"], *default["ratio_ci95"]]
    for words, figure in zip(told.groups(), [*figures, tiny["p50_ms"]], strict=True):
        assert float(words) == pytest.approx(figure, rel=0.02)


def test_the_figures_of_a_gpu_are_what_was_measured() -> None:
    variants = json.loads((ROOT / "benchmarks/results/bench_h100.json").read_text())["variants"]
    one, many = (next(v for v in variants if v["batch"] == n) for n in (1, 32))
    told = re.search(
        r"`tiny` takes ([\d.]+) ms\s+for an image and ([\d.]+) ms for 32 of them,"
        r" ([\d.]+) and ([\d.]+) times as fast",
        README,
    )
    assert told is not None
    figures = [v["latency"]["p50_ms"] for v in (one, many)]
    figures += [v["ratio"]["value"] for v in (one, many)]
    for words, figure in zip(told.groups(), figures, strict=True):
        assert float(words) == pytest.approx(figure, rel=0.02)


def test_links_lead_to_files_of_the_repository() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def _executed_blocks() -> list[tuple[str, str]]:
    """(language, text) of the blocks below the comment that promises their execution."""
    pattern = r"<!-- executed by tests/test_readme.py -->\n```(\w+)\n(.*?)```"
    blocks = re.findall(pattern, README, re.DOTALL)
    assert len(blocks) >= 4
    return blocks


def _smaller(line: str) -> str:
    for text, quick in SMALLER.items():
        if text in line:
            return line.replace(text, quick)
    return line


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    allowed = {0, SOME_NG} if "run" in command[3:4] else {0}
    assert done.returncode in allowed, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
