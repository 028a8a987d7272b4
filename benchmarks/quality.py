"""What the method finds on real parts, from good pictures to figures, with one call a part.

    python benchmarks/quality.py DATA_ROOT --work WORK --parts kolektor_sdd,magnetic_tile

For each part: `fit` on its good training pictures (training, selection and calibration are split
by `fit` itself), then `evaluate` on its test split. The test split is looked at once, at the end.
Results are `PART.json` (the whole metrics.json with how it came about) and one table over all
parts that have a result. Bundles and runs stay in WORK; no picture and no weight enters results.

`mvtec_screw` is trained without the pictures whose number divides by 8, and judged twice: on its
official good test pictures, which brightness alone tells from the defects, and as
`mvtec_screw_heldout` with those 40 pictures as the good ones.
"""

from __future__ import annotations

import argparse
import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from edgeinspect.bundle import read_bundle
from edgeinspect.cli.progress import TrainingProgress
from edgeinspect.cli.settings import read_settings
from edgeinspect.config import to_dict
from edgeinspect.data.layout import find_good
from edgeinspect.doctor import read_machine
from edgeinspect.evaluation import EvaluationSettings, evaluate_into
from edgeinspect.fitting import fit
from edgeinspect.training.planning import Duration
from edgeinspect.writing import write_atomically

PARTS = ("kolektor_sdd", "magnetic_tile", "mvtec_screw")
HELD_OUT = "mvtec_screw_heldout"
FALSE_REJECT_RATE = 0.05
PACKAGES = ("edgeinspect", "torch", "timm", "onnxruntime", "numpy")
PAPER_AUROC = {"kolektor_sdd": 0.988, "mvtec_screw": 1.000}  # Tables 1 and 3


def main() -> None:
    options = _parse()
    for part in options.parts.split(","):
        assert part in PARTS, f"{part} is none of {PARTS}"
        _measure(part, options)
    _write_table(options.out)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder that holds the parts")
    parser.add_argument("--work", type=Path, required=True, help="for runs and bundles")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--select", action="store_true", help="rule by synthetic defects")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "quality")
    return parser.parse_args()


def _measure(part: str, options: argparse.Namespace) -> None:
    work = options.work / part
    work.mkdir(parents=True, exist_ok=True)
    bundle = work / f"{part}.bundle"
    data = options.data_root / part
    tests = {part: data}
    if part == "mvtec_screw":
        tests[HELD_OUT] = _screw_held_out(data, work / "held_out")
    good = tests.get(HELD_OUT, data) / "train" / "good"
    config = read_settings(options.preset, [f"optimiser.seed={options.seed}", *options.settings])
    with TrainingProgress() as progress:
        made = fit(
            good, bundle, work / "run", config, Duration(steps=options.steps),
            false_reject_rate=FALSE_REJECT_RATE, select=options.select, device="cpu", force=True,
            on_step=progress,
        )  # fmt: skip
    for name, test in tests.items():
        evaluation = evaluate_into(
            work / name, read_bundle(bundle), test, good=good,
            settings=EvaluationSettings(seed=options.seed), force=True,
        )  # fmt: skip
        result = {
            "part": name,
            "preset": options.preset,
            "settings": to_dict(config),
            "steps": options.steps,
            "training": {
                "seconds": made.training.seconds,
                "best_step": made.training.best_step,
                "held_out_l1": made.training.best_error,
                "smooth_fill_l1": made.training.fill_error,
            },
            "n_pictures": {
                "training": len(made.split.training),
                "selection": len(made.split.selection),
                "calibration": len(made.split.calibration),
            },
            "metrics": evaluation.plain(),
            "hardware": _hardware(),
            "versions": {name: metadata.version(name) for name in PACKAGES},
        }
        options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=1, ensure_ascii=False)
        write_atomically(options.out / f"{name}.json", text.encode() + b"\n")


def _screw_held_out(data: Path, folder: Path) -> Path:
    """The screw with every eighth training picture as its good test pictures."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "train" / "good").mkdir(parents=True)
    (folder / "test" / "good").mkdir(parents=True)
    for path in find_good(data):
        place = "test" if int(path.stem) % 8 == 0 else "train"
        (folder / place / "good" / path.name).symlink_to(path.resolve())
    for defect in sorted((data / "test").iterdir()):
        if defect.name != "good":
            (folder / "test" / defect.name).symlink_to(defect.resolve())
    (folder / "ground_truth").symlink_to((data / "ground_truth").resolve())
    return folder


def _hardware() -> dict[str, Any]:
    machine = read_machine()
    return {"cpu": machine.cpu, "n_cores": machine.n_cores, "system": machine.system}


def _write_table(folder: Path) -> None:
    """table.md: every part that has a result, beside its baselines and the paper's figure."""
    head = (
        "| part | AUROC [95 %] | after equal mean and spread | local | global | pixel AUROC | AUPRO"
        " | false rejects (5 % asked) | recall | brightness | contrast | nearest | PCA"
        " | smooth fill | paper |"
    )
    rows = [head, "|" + " --- |" * (head.count("|") - 1)]
    for path in sorted(folder.glob("*.json")):
        rows.append(_row(json.loads(path.read_text())))
    write_atomically(folder / "table.md", ("\n".join(rows) + "\n").encode())


def _row(result: dict[str, Any]) -> str:
    metrics = result["metrics"]
    image, pixel, baselines = metrics["image"], metrics["pixel"], metrics["baselines"]
    low, high = image["auroc_ci95"]
    cells = [
        result["part"],
        f"{image['auroc']:.3f} [{low:.3f}, {high:.3f}]",
        _figure(metrics["image_equalised"]["auroc"]),
        _figure(metrics["image_local"]["auroc"]),
        _figure(metrics["image_global"]["auroc"]),
        _figure(pixel["auroc"]),
        _figure(pixel["aupro"]),
        f"{image['false_reject_rate']:.1%}",
        f"{image['recall_at_threshold']:.1%}",
        *(_figure(baseline["auroc"]) for baseline in baselines.values()),
        _figure(PAPER_AUROC.get(result["part"])),
    ]
    return "| " + " | ".join(cells) + " |"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
