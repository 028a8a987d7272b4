"""How `benchmarks.quality` chooses a part's variant: by validation, never by the test."""

from __future__ import annotations

from typing import Any

from benchmarks.quality import chosen
from benchmarks.reports import joined


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
