"""Numbers as people read them."""

from __future__ import annotations

import json
import math

import pytest

from edgeinspect.numbers import (
    json_plain,
    percent_range,
    three_digits,
    two_digits,
    width_by_height,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.01234, "0.0123"), (12.34, "12.3"), (999.4, "999"), (999.6, "1000"), (5490.2, "5490")],
)
def test_three_digits_need_no_power_of_ten_for_large_numbers(value: float, words: str) -> None:
    assert three_digits(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0123, "0.012"), (12.3, "12"), (99.6, "100"), (100.0, "100"), (549, "549")],
)
def test_two_digits_need_none_either(value: float, words: str) -> None:
    assert two_digits(value) == words


def test_an_interval_that_ends_at_all_of_them_is_in_plain_numbers() -> None:
    assert percent_range((0.79, 0.999)) == "79 to 100 %"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_null_in_json_however_deep(number: float) -> None:
    plain = json_plain({"rows": [{"error": number, "n": 3}], "pair": (number, 0.5)})
    text = json.dumps(plain, allow_nan=False)
    assert text == '{"rows": [{"error": null, "n": 3}], "pair": [null, 0.5]}'


def test_floats_keep_their_digits_unless_told() -> None:
    assert json_plain([0.123456789, 3]) == [0.123456789, 3]
    assert json_plain([0.123456789, 3, True], digits=3) == [0.123, 3, True]


def test_the_size_of_a_picture_is_told_with_its_width_first() -> None:
    assert width_by_height((480, 640, 3)) == "640 x 480"
