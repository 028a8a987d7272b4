"""How `benchmarks.quality` chooses a part's variant, and whether the docs say what it found."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality import chosen
from benchmarks.reports import RESULTS, joined

STAR = r"\*"  # at an earlier threshold
DOCS = (Path(__file__).parents[2] / "docs" / "quality.md").read_text()


def _row(variant: str, seed: int, validation: float, auroc: float) -> dict[str, Any]:
    return {
        "variant": variant,
        "seed": seed,
        "validation": {"mean": validation},
        "image": {"auroc": auroc},
    }


def test_the_first_seed_chooses_since_another_draws_other_defects() -> None:
    found = [
        _row("both", 1, 0.95, 0.99),
        _row("both", 0, 0.70, 0.99),
        _row("features", 1, 0.60, 0.90),
        _row("features", 0, 0.80, 0.90),
    ]
    assert chosen(found) == 3


def test_of_variants_that_are_as_good_the_shorter_training_is_taken() -> None:
    found = [_row("features-long", 0, 0.804, 0.99), _row("features", 0, 0.80, 0.90)]
    assert chosen(found) == 1


def test_of_variants_that_are_as_good_the_one_of_fewest_operations_is_taken() -> None:
    found = [_row("features-512", 0, 0.804, 0.99), _row("features", 0, 0.80, 0.90)]
    assert chosen(found) == 1
    found.append(_row("both", 0, 0.85, 0.50))
    assert chosen(found) == 2


def test_what_is_as_good_by_just_the_margin_is_as_good_whatever_rounding_says() -> None:
    found = [_row("features-512", 0, 0.93125, 0.99), _row("features", 0, 0.9262499999999999, 0.90)]
    assert chosen(found) == 1


def test_a_baseline_is_never_chosen_and_the_test_plays_no_part() -> None:
    found = [
        _row("features-untrained", 0, 0.95, 0.95),
        _row("pixels", 0, 0.60, 1.00),
        _row("both", 0, 0.70, 0.50),
    ]
    assert chosen(found) == 2


def test_rows_that_were_not_measured_again_stay_in_the_report() -> None:
    earlier = [
        _row("both", 0, 0.7, 0.9),
        _row("features", 0, 0.7, 0.8),
        _row("features", 1, 0.7, 0.7),
    ]
    again = [_row("features", 0, 0.6, 0.6)]
    assert joined(again, earlier, by=("variant", "seed")) == [earlier[0], earlier[2], *again]


def test_the_table_of_two_sizes_is_what_was_measured() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.* %) \|$", DOCS, re.MULTILINE)
    assert {part for part, _ in rows} == {"kolektor_sdd", "magnetic_tile", "mvtec_screw_heldout"}
    for part, cells in rows:
        for variant, cell in zip(
            ("features", "features-512", "fine"), cells.split(" | "), strict=True
        ):
            one = _measured(part, variant)
            assert cell == (
                f"{one['validation']['mean']:.3f}, {one['image']['auroc']:.3f},"
                f" {100 * one['image']['recall_at_threshold']:.0f} %"
                f"{STAR if 'remark' in one else ''}"
            )


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Kolektor", "kolektor_sdd"),
        ("magnetic tile", "magnetic_tile"),
        ("screw, held out", "mvtec_screw_heldout"),
    ],
)
def test_the_table_of_targets_is_what_was_measured(name: str, part: str) -> None:
    rows = (_measured(part, target) for target in ("features", "both", "pixels"))
    cells = [f"{row['validation']['mean']:.3f}, {row['image']['auroc']:.3f}" for row in rows]
    assert f"| {name} | {' | '.join(cells)} |" in DOCS.splitlines()


@pytest.mark.parametrize(
    ("variant", "sentence"),
    [
        (
            "fine",
            "AUROC is {a[0]:.3f}, {a[1]:.3f} and {a[2]:.3f}, and {f[0]:.0f}, {f[1]:.0f} and"
            " {f[2]:.0f} % of the defective parts are found, with {r[0]:.0f}, {r[1]:.0f} and"
            " {r[2]:.0f} % of the good ones rejected",
        ),
        (
            "features",
            "AUROC {a[0]:.3f}, {a[1]:.3f} and {a[2]:.3f}, {f[0]:.0f}, {f[1]:.0f} and {f[2]:.0f} %"
            " found, with {r[0]:.0f}, {r[1]:.0f} and {r[2]:.0f} % of the good ones rejected",
        ),
    ],
)
def test_the_figures_in_short_are_what_was_measured(variant: str, sentence: str) -> None:
    images = [
        _measured(part, variant)["image"]
        for part in ("kolektor_sdd", "magnetic_tile", "mvtec_screw_heldout")
    ]
    told = sentence.format(
        a=[image["auroc"] for image in images],
        f=[100 * image["recall_at_threshold"] for image in images],
        r=[100 * image["false_reject_rate"] for image in images],
    )
    assert told in " ".join(DOCS.split())


def _measured(part: str, variant: str) -> dict[str, Any]:
    rows = json.loads((RESULTS / "quality.json").read_text())["datasets"][part]["all"]
    (row,) = [row for row in rows if (row["variant"], row["seed"]) == (variant, 0)]
    found: dict[str, Any] = row
    return found
