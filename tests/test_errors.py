"""What errors of ours quote of others."""

from __future__ import annotations

import pytest

from edgeinspect.errors import first_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no such device\nTraceback", "no such device"),
        ("\n  no such device \n", "no such device"),
        ("No such device.\nTraceback", "No such device"),
        ("", "ValueError"),
        (" \n", "ValueError"),
    ],
)
def test_the_first_line_is_quoted_or_the_class_where_there_is_none(
    text: str, expected: str
) -> None:
    assert first_line(ValueError(text)) == expected
