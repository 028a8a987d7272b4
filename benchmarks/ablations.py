"""What the forms, the decoder, the masks and the losses bring: one change at a time.

    python -m benchmarks.ablations DATA_ROOT --work WORK [--studies forms,losses,...] [--parts ...]

Each study trains its variants equally long (the same pictures in the same number of steps) on the
same split, then calibrates, validates and evaluates as `quality.py` does. FLOPs are the exported
generator's (`benchmarks.flops`), latency that of one ONNX Runtime thread, as the ratio of
interleaved medians to the study's first variant. What WORK holds is not made again.

- `memory`: how features are compared, with a generator that has learnt nothing: how many are
  remembered, the window, the levels, the tokens, the image.
- `targets`: what is reconstructed.
- `forms`, features with patch 32: the forms, a decoder like the encoder, the other patch, fewer
  masks. `forms-16`, `pixel-forms`: the same with patch 16, and with pixels.
- `merging`: tokens of the default merged in each encoder block, or not.
- `losses` (the paper's Tables 5 to 9), pixels: without and with the adversarial and the latent
  loss, merged tokens in the discriminator, the weight of the consistency loss.
- `pixels`: prior, augmentation, image size and length.

Results: `ablations_STUDY.json` and `.md`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.flops import count_flops
from benchmarks.parts import HELD_OUT
from benchmarks.quality import Case, Variant, measure
from benchmarks.reports import RESULTS, figure, hardware, table, with_others
from edgeinspect.bundle import read_bundle
from edgeinspect.runtime.session import open_session
from edgeinspect.writing import write_atomically

STEPS, STEPS_OF_LOSSES = 200, 100
N_ROUNDS = 15  # of the latency's interleaved calls
ALL_LOSSES = ("adversarial=1", "latent=1")


def _variant(*settings: str, target: str = "features", steps: int = STEPS) -> Variant:
    return Variant(steps=steps, target=target, settings=settings)


def _forms(target: str, patch: int) -> dict[str, Variant]:
    other = 16 if patch == 32 else 32
    changes = {
        "cross (default)": (),
        "visible": ("form=visible",),
        "all": ("form=all",),
        "decoder like the encoder": (
            "decoder_width=192", "decoder_depth=4", "decoder_mlp_ratio=4",
        ),
        f"patch {other}": (f"patch={other}",),
        "4 masks": ("mask_scales=1,2",),
        "2 masks": ("mask_scales=2",),
    }  # fmt: skip
    return {
        name: _variant(f"patch={patch}", *words, target=target) for name, words in changes.items()
    }


def _losses(*settings: str) -> Variant:
    return _variant(*settings, target="pixels", steps=STEPS_OF_LOSSES)


STUDIES: dict[str, dict[str, Variant]] = {
    "memory": {
        "8000 features (default)": _variant(steps=1),
        "none": _variant("feature_memory=0", steps=1),
        "500 features": _variant("feature_memory=500", steps=1),
        "2000 features": _variant("feature_memory=2000", steps=1),
        "without a window": _variant("feature_window=1", steps=1),
        "without stride 32": _variant("feature_strides=8,16", steps=1),
        "patch 16": _variant("patch=16", steps=1),
        "384 px, 4 masks": _variant("size=384", "mask_scales=1,2", steps=1),
    },
    "targets": {
        "features (default)": _variant(),
        "pixels": _variant(target="pixels"),
        "both": _variant(target="both"),
    },
    "forms": _forms("features", 32),
    "merging": {
        "cross (default)": _variant("patch=32"),
        "merging 4": _variant("patch=32", "generator.merge=4"),
    },
    "forms-16": _forms("features", 16),
    "pixel-forms": {
        **_forms("pixels", 16),
        "merging 16": _variant("patch=16", "generator.merge=16", target="pixels"),
    },
    "losses": {
        "consistency alone (default)": _losses(),
        "with adversarial": _losses("adversarial=1"),
        "with latent": _losses("latent=1"),
        "all three, r = 2": _losses(*ALL_LOSSES),
        "all three, r = 0": _losses(*ALL_LOSSES, "discriminator.merge=0"),
        "all three, r = 8": _losses(*ALL_LOSSES, "discriminator.merge=8"),
        "all three, a3 = 5": _losses(*ALL_LOSSES, "consistency=5"),
        "all three, a3 = 80": _losses(*ALL_LOSSES, "consistency=80"),
    },
    "pixels": {
        "default": _variant(target="pixels"),
        "no prior": _variant("prior=none", target="pixels"),
        "no augmentation": _variant(
            "flip_horizontal=false", "flip_vertical=false", "rotate_deg=0", "shift_px=0",
            "brightness=0", target="pixels",
        ),
        "equal mean and spread": _variant("equalise=spread", target="pixels"),
        "untrained": _variant(target="pixels", steps=1),
        "128 px, not blurred": _variant("size=128", "blur_px=1", target="pixels"),
        "5 times as long": _variant(target="pixels", steps=5 * STEPS),
        "384 px": _variant("size=384", target="pixels"),
    },
}  # fmt: skip


def main() -> None:
    options = _parse()
    for study in options.studies.split(","):
        for part in options.parts.split(","):
            cases = [
                case_of(options.data_root, options.work, study, part, name)
                for name in STUDIES[study]
                if options.variants is None or name in options.variants
            ]
            for case in cases:
                measure(case, options.device)
            _measure_speed(cases)
    write_report(options.work, options.out)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder that holds the parts")
    parser.add_argument("--work", type=Path, required=True, help="for runs, bundles and figures")
    parser.add_argument("--studies", default=",".join(STUDIES))
    parser.add_argument("--variants", nargs="+", help="some of a study's, its first among them")
    parser.add_argument("--parts", default="kolektor_sdd,mvtec_screw")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def case_of(data_root: Path, work: Path, study: str, part: str, name: str) -> Case:
    """The case of a study's variant by name, in its place in `work`."""
    place = "".join(letter if letter.isalnum() else "-" for letter in name)
    return Case(work / study / part / place, data_root, part, name, STUDIES[study][name])


def _measure_speed(cases: list[Case]) -> None:
    """speed.json of each case: GFLOP of an image's passes, latency over the first case's."""
    bundles = [read_bundle(case.folder / "part.bundle") for case in cases]
    times: list[list[float]] = [[] for _ in bundles]
    with ExitStack() as stack:
        sessions = [stack.enter_context(open_session(bundle, threads=1)) for bundle in bundles]
        for _ in range(N_ROUNDS):
            for place, (session, bundle) in enumerate(zip(sessions, bundles, strict=True)):
                size = bundle.config.generator.size
                images = np.zeros((1, size, size, 3), np.uint8)
                start = time.perf_counter()
                session.infer(images, np.zeros(1, np.int32))
                times[place].append(time.perf_counter() - start)
    medians = [statistics.median(own[1:]) for own in times]  # the first call warms up
    for case, bundle, median in zip(cases, bundles, medians, strict=True):
        speed = {
            "gflop": count_flops(bundle.config.generator).total / 1e9,
            "latency_ratio": median / medians[0],
            "latency_ms": median * 1e3,
        }
        write_atomically(case.folder / "speed.json", json.dumps(speed).encode() + b"\n")


def write_report(work: Path, out: Path) -> None:
    """ablations_STUDY.json and .md of every study that `work` holds; earlier rows stay."""
    out.mkdir(parents=True, exist_ok=True)
    for study in STUDIES:
        rows = _rows(work, study)
        if not rows:
            continue
        file = out / f"ablations_{study}.json"
        rows = with_others(rows, file, by=("part", "variant"))
        report = {"hardware": hardware(), "study": study, "rows": rows}
        text = json.dumps(report, indent=1, ensure_ascii=False)
        write_atomically(file, text.encode() + b"\n")
        lines = [f"# One change at a time: {study}", "", _words(), ""]
        write_atomically(out / f"ablations_{study}.md", "\n".join(lines + _table(rows)).encode())


def _words() -> str:
    assert __doc__ is not None
    return __doc__.split("\n\n")[2].replace("\n", " ")


def _rows(work: Path, study: str) -> list[dict[str, Any]]:
    found = []
    parts = sorted(folder.name for folder in (work / study).glob("*"))
    for part, name in itertools.product(parts, STUDIES[study]):
        folder = case_of(Path(), work, study, part, name).folder
        file = folder / "speed.json"
        speed = json.loads(file.read_text()) if file.exists() else {}
        for test in (part, HELD_OUT) if part == "mvtec_screw" else (part,):
            file = folder / f"{test}.json"
            if file.exists():
                figures = _figures(json.loads(file.read_text()))
                found.append({"study": study, "part": test, **figures, **speed})
    return found


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    """What a row of the table needs of a result of `quality.measure`."""
    kept = ("variant", "settings", "steps", "target", "training_minutes", "held_out_error")
    return {
        **{key: result[key] for key in kept},
        "held_out_error_without_generator": result["held_out_error_without_generator"],
        "validation": result["validation"]["mean"],
        "auroc": result["image"]["auroc"],
        "auroc_ci95": result["image"]["auroc_ci95"],
        "pixel_auroc": result["pixel"]["auroc"],
        "aupro": result["pixel"]["aupro"],
        "normalisation": result["normalisation"],
        "versions": result["versions"],
    }


def _table(rows: list[dict[str, Any]]) -> list[str]:
    head = (
        "| part | variant | steps | minutes | error held out (without) | validation"
        " | AUROC [95 %] | pixel AUROC | AUPRO | GFLOP | latency |"
    )
    return [*table(head, [_cells(row) for row in rows]), ""]


def _cells(row: dict[str, Any]) -> list[str]:
    low, high = row["auroc_ci95"]
    without = row["held_out_error_without_generator"]
    return [
        row["part"],
        row["variant"],
        str(row["steps"]),
        f"{row['training_minutes']:.1f}",
        f"{row['held_out_error']:.4g} ({without:.4g})",
        figure(row["validation"]),
        f"{row['auroc']:.3f} [{low:.3f}, {high:.3f}]",
        figure(row["pixel_auroc"]),
        figure(row["aupro"]),
        f"{row['gflop']:.2f}" if "gflop" in row else "",
        f"{row['latency_ratio']:.2f}" if "latency_ratio" in row else "",
    ]


if __name__ == "__main__":
    main()
