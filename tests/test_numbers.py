"""Numbers as people read them."""

from __future__ import annotations

import pytest

from edgeinspect.numbers import three_digits


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.01234, "0.0123"), (12.34, "12.3"), (999.4, "999"), (999.6, "1000"), (5490.2, "5490")],
)
def test_three_digits_need_no_power_of_ten_for_large_numbers(value: float, words: str) -> None:
    assert three_digits(value) == words
