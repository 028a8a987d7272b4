from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edgeinspect.stream.notices import Notice, NoticeKind


def line_of(**about: object) -> dict[str, object]:
    made = {"kind": NoticeKind.OUTAGE, "text": "gone", "time_s": 1.7e9, **about}
    plain: dict[str, object] = json.loads(Notice(**made).to_line().encode())  # type: ignore[arg-type]
    return plain


def test_figures_that_are_not_finite_are_null_in_the_line():
    plain = line_of(values={"level": math.nan, "of": [math.inf, 1.5]})
    assert plain["values"] == {"level": None, "of": [None, 1.5]}


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0])
def test_a_length_that_is_none_is_null(seconds):
    assert line_of(seconds=seconds)["seconds"] is None


def test_figures_in_types_of_numpy_are_numbers():
    assert line_of(time_s=np.float64(1.7e9), seconds=np.float32(1.5))["seconds"] == 1.5


@pytest.mark.parametrize("time_s", [math.nan, math.inf, 1e30])
def test_a_time_that_is_none_is_that_of_the_notice(time_s):
    assert str(line_of(time_s=time_s)["time"]) > "2026"


def test_a_text_that_is_no_utf8_is_shown():
    assert line_of(text="no \udcff")["text"] == "no \ufffd"


def test_the_word_of_a_kind_will_do():
    assert line_of(kind="outage")["kind"] == "outage"
