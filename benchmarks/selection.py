"""How close `calibrate --select` comes to the best rule in hindsight.

    python -m benchmarks.selection DATA_ROOT BUNDLE PART [BUNDLE PART ...] [--out FOLDER]

A bundle of `quality.py` or `ablations.py` (WORK/.../part.bundle) is calibrated with `--select` on
the good pictures that `fit` left for calibration. Every rule that was tried is then calibrated and
judged on the test split. Results: `selection.json` and `selection.md`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr  # type: ignore[import-untyped]

from benchmarks.parts import screw_held_out
from benchmarks.quality import FALSE_REJECT_RATE
from benchmarks.reports import RESULTS, figure, hardware, table
from edgeinspect import metrics
from edgeinspect.bundle import Bundle, install_calibration, read_bundle
from edgeinspect.calibration.calibrate import calibrate
from edgeinspect.calibration.candidates import Candidate, candidates, default_candidate
from edgeinspect.config import Normalisation, Rule
from edgeinspect.constants import one_hot
from edgeinspect.data.images import read_picture
from edgeinspect.data.layout import find_good, find_test
from edgeinspect.fitting import split_good
from edgeinspect.runtime.inspector import open_inspector
from edgeinspect.writing import write_atomically


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder that holds the parts")
    parser.add_argument("bundles", nargs="+", help="bundle and part, in turn")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    cases = []
    for bundle, part in zip(options.bundles[::2], options.bundles[1::2], strict=True):
        with tempfile.TemporaryDirectory() as folder:
            data = options.data_root / part
            if part == "mvtec_screw":
                data = screw_held_out(data, Path(folder) / part)
            cases.append(_measure(Path(bundle), part, data, Path(folder)))
    _write(cases, options.out)


def _measure(source: Path, part: str, data: Path, folder: Path) -> dict[str, Any]:
    bundle = read_bundle(source)
    good = split_good(find_good(data), bundle.config.optimiser.holdout).calibration
    copy = folder / "part.bundle"
    shutil.copytree(source, copy)
    selected = calibrate(copy, good, false_reject_rate=FALSE_REJECT_RATE, select=True)
    assert selected.selection is not None
    selection = selected.selection
    known = {candidate.name: candidate for candidate in _all_candidates(bundle)}
    rows = []
    for trial in selection["tried"]:
        candidate = known[trial["name"]]
        _calibrate_as(copy, good, candidate)
        rows.append({**trial, "test_auroc": _judge(copy, data)})
        print(part, rows[-1], flush=True)
    return {
        "part": part,
        "target": bundle.config.generator.target.value,
        "settings": {"equalise": bundle.config.preprocess.equalise.value},
        "chosen": selection["chosen"],
        "reason": selection["reason"],
        "severity": selection["severity"],
        "rank_correlation": _rank_correlation(rows),
        "rows": rows,
    }


def _all_candidates(bundle: Bundle) -> list[Candidate]:
    scoring, everything = bundle.config.scoring, tuple(Normalisation)
    return [
        candidate
        for how in everything
        for candidate in candidates(default_candidate(Rule.PEAK, how, scoring), scoring, everything)
    ]


def _calibrate_as(bundle: Path, good: list[Path], candidate: Candidate) -> None:
    """Constants of one rule; the threshold, which no AUROC reads, is the rule's default one."""
    config = read_bundle(bundle).config
    how = candidate.normalisation
    calibration = calibrate(
        bundle, good, false_reject_rate=FALSE_REJECT_RATE, rule=candidate.rule, normalisation=how
    )
    constants = replace(
        calibration.constants,
        stat_weight=candidate.weight(config.scoring, config.generator.n_scales),
        rule=one_hot(candidate.rule),
    )
    install_calibration(read_bundle(bundle), replace(calibration, constants=constants))


def _judge(bundle: Path, data: Path) -> float | None:
    pictures = find_test(data)
    with open_inspector(bundle) as inspector:
        read = (
            read_picture(picture.path, white_level_16bit=inspector.white_level_16bit)
            for picture in pictures
        )
        scores = [inspector(picture).score or 0.0 for picture in read]
    return metrics.auroc(scores, [not picture.is_good for picture in pictures])


def _rank_correlation(rows: list[dict[str, Any]]) -> float:
    found = spearmanr([row["auroc"] for row in rows], [row["test_auroc"] for row in rows])
    return float(found.statistic)


def _write(cases: list[dict[str, Any]], out: Path) -> None:
    report = {"hardware": hardware(), "cases": cases}
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    write_atomically(out / "selection.json", text.encode() + b"\n")
    lines = ["# What `--select` chooses, and what was best in hindsight", ""]
    for case in cases:
        lines += [
            f"## {case['part']}, {case['target']}",
            "",
            f"Severity {case['severity']:g}; {case['reason']}. Rank correlation of synthetic and"
            f" test AUROC {case['rank_correlation']:.2f}.",
            "",
            *table("| rule | synthetic AUROC | test AUROC |", _rows(case)),
            "",
        ]
    write_atomically(out / "selection.md", "\n".join(lines).encode())


def _rows(case: dict[str, Any]) -> list[list[str]]:
    return [
        [
            f"**{row['name']}**" if row["name"] == case["chosen"] else row["name"],
            figure(row["auroc"]),
            figure(row["test_auroc"]),
        ]
        for row in case["rows"]
    ]


if __name__ == "__main__":
    main()
