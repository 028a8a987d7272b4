"""What `fit` finds with its defaults on parts that nothing was chosen on, by kind of defect.

    python -m benchmarks.made_parts --work WORK [--parts nut,...] [--presets fine,tiny]

Made parts (`drawn_parts`): a nut, a casting, a strip and a turned face, 80 good ones for `fit`, 30
to judge and 12 with each defect: of a place (five kinds, among them darker and flatter ones) and of
the whole part. What they are worth as parts is what a drawing is worth; but no rule, size or level
was chosen with them in view, so they tell how far what was chosen on real parts carries. The target
is features, the false-reject rate the least that the pictures support. What is in WORK is not made
again. Results: `made_parts.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawn_parts import (
    DEFECTS,
    PARTS,
    Drawing,
    defects_of,
    draw_defective,
    draw_good,
)
from benchmarks.reports import RESULTS, figure, hardware, table, with_others
from edgeinspect.bundle import read_bundle
from edgeinspect.cli.progress import TrainingProgress
from edgeinspect.cli.settings import read_settings
from edgeinspect.data.images import save_picture
from edgeinspect.evaluation import EvaluationSettings, evaluate_into
from edgeinspect.fitting import fit
from edgeinspect.training.planning import Duration
from edgeinspect.writing import draft_folder, write_atomically

N_TRAIN, N_GOOD, N_EACH = 80, 30, 12
STEPS = 60  # what finds defects are memories; a generator adds nothing (docs/quality.md)
TRAIN, TEST, DEFECT = range(3)  # what a random stream is for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="for pictures and bundles")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--presets", default="fine,tiny")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    for part in options.parts.split(","):
        data = options.work / part
        if not data.exists():
            with draft_folder(data) as draft:
                draw_data_set(draft, part)
        for preset in options.presets.split(","):
            row = _measured(data, part, preset, options.steps)
            print(part, preset, figure(row["auroc"]), flush=True)
            _write([row], options.out)


def draw_data_set(folder: Path, part: str) -> None:
    """Pictures and masks of a part, in MVTec's layout."""
    for i in range(N_TRAIN):
        _save(folder / f"train/good/{i:03}.png", draw_good(part, _stream(TRAIN, i)))
    for n, defect in enumerate(defects_of(part)):
        for i in range(N_EACH):
            drawing = draw_defective(part, defect, _stream(DEFECT, n, i))
            _save(folder / f"test/{defect}/{i:03}.png", drawing)
            mask = np.where(drawing.mask, 255, 0).astype(np.uint8)
            save_picture(_made(folder / f"ground_truth/{defect}/{i:03}_mask.png"), mask)
    for i in range(N_GOOD):
        _save(folder / f"test/good/{i:03}.png", draw_good(part, _stream(TEST, i)))


def _stream(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)


def _save(path: Path, drawing: Drawing) -> None:
    grey = np.clip(np.rint(drawing.grey), 0, 255).astype(np.uint8)
    save_picture(_made(path), grey)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _measured(data: Path, part: str, preset: str, steps: int) -> dict[str, Any]:
    good, folder = data / "train" / "good", data / preset
    bundle = folder / "part.bundle"
    if not bundle.exists():
        folder.mkdir(exist_ok=True)
        with TrainingProgress() as progress:
            config = read_settings(preset, (), target="features", seed=0)
            fit(
                good, bundle, folder / "run", config, Duration(steps=steps),
                false_reject_rate=None, select=False, device="cpu", force=True, on_step=progress,
            )  # fmt: skip
    settings = EvaluationSettings(seed=0, equalised=False, n_rows_per_class=0)
    made = read_bundle(bundle)
    found = evaluate_into(
        folder / "evaluation", made, data, good=good, settings=settings, force=True
    ).plain()
    calibration = made.require_calibration()
    return {
        "part": part,
        "preset": preset,
        "steps": made.manifest.provenance["n_steps_done"],
        "normalisation": calibration.normalisation.value,
        "false_reject_rate_asked": calibration.threshold.false_reject_rate,
        **_figures(found["image"], "auroc", "recall_at_threshold", "false_reject_rate"),
        "aupro": found["pixel"]["aupro"],
        "brightness_auroc": found["baselines"]["mean_intensity"]["auroc"],
        "contrast_auroc": found["baselines"]["contrast"]["auroc"],
        "defects": {
            name: _figures(own, "auroc", "recall_at_threshold")
            for name, own in found["classes"].items()
        },
    }


def _figures(found: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: found[name] for name in names}


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    file = out / "made_parts.json"
    rows = with_others(rows, file, by=("part", "preset"))
    out.mkdir(parents=True, exist_ok=True)
    report = {"hardware": hardware(), "rows": rows}
    write_atomically(file, json.dumps(report, indent=1).encode() + b"\n")
    lines = ["# Made parts that nothing was chosen on", "", *table(HEAD, [_cells(r) for r in rows])]
    head = "| part | preset | " + " | ".join(DEFECTS) + " |"
    lines += ["", "By defect, AUROC and the share found at the threshold:", ""]
    lines += table(head, [_cells_by_defect(row) for row in rows])
    write_atomically(out / "made_parts.md", ("\n".join(lines) + "\n").encode())


HEAD = "| part | preset | AUROC | AUPRO | found | rejected (asked) | by brightness | by contrast |"


def _cells(row: dict[str, Any]) -> list[str]:
    rejected, asked = row["false_reject_rate"], row["false_reject_rate_asked"]
    return [
        row["part"],
        row["preset"],
        figure(row["auroc"]),
        figure(row["aupro"]),
        f"{row['recall_at_threshold']:.0%}",
        f"{rejected:.0%} ({asked:.0%})",
        figure(row["brightness_auroc"]),
        figure(row["contrast_auroc"]),
    ]


def _cells_by_defect(row: dict[str, Any]) -> list[str]:
    own = row["defects"]
    cells = [
        f"{own[d]['auroc']:.3f}, {own[d]['recall_at_threshold']:.0%}" if d in own else ""
        for d in DEFECTS
    ]
    return [row["part"], row["preset"], *cells]


if __name__ == "__main__":
    main()
