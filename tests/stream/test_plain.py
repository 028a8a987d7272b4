from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeinspect.stream.plain import is_time, json_type, printable

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(value=VALUES)
def test_any_value_becomes_json_that_is_utf8(value):
    text = json.dumps(json_type(value), ensure_ascii=False, allow_nan=False)
    json.loads(text.encode())


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (math.nan, None),
        (-math.inf, None),
        (np.float32(0.5), 0.5),
        (np.array([1.0, np.inf]), [1.0, None]),
        ({"a": {1: (2, 3)}}, {"a": {"1": [2, 3]}}),
        (1j, "1j"),
    ],
)
def test_what_json_lacks_becomes_the_nearest_that_it_has(value, plain):
    assert json_type(value) == plain


@pytest.mark.parametrize(("name", "text"), [("a\udcffb", "a\ufffdb"), ("\ud800", "?")])
def test_names_that_are_no_utf8_are_shown(name, text):
    assert printable(name) == text


def test_a_time_is_finite_and_has_a_year_of_four_digits():
    times = (0.0, 1.7e9, -1.0, math.nan, math.inf, 1e20)
    assert [is_time(time) for time in times] == [True, True, False, False, False, False]
