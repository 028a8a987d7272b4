"""Values as records and notices may hold them: text that is UTF-8, numbers that are finite.

What comes from files' names, from the graph, or from sources of third parties need not be so, and
one of them must not end a run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeinspect.numbers import finite

__all__ = ["END_S", "is_time", "json_type", "printable"]

END_S = 253_402_300_800.0  # the year 10 000, which has no ISO format


def is_time(time_s: float) -> bool:
    """Whether it can be a number of seconds since the epoch."""
    return 0 <= time_s < END_S


def printable(name: str) -> str:
    """A file's name as text; bytes that are no UTF-8 are shown as the replacement character."""
    try:
        data = os.fsencode(name)
    except UnicodeEncodeError:  # half of a pair, which no file's name has
        data = name.encode("utf-8", errors="replace")
    return data.decode("utf-8", errors="replace")


def json_type(value: object) -> Any:
    """A value of anybody's in JSON types: `numbers.json_plain` where every type is our own.

    None for a number that is not finite, text for what JSON lacks.
    """
    if isinstance(value, np.generic | np.ndarray):
        return json_type(value.tolist())
    if isinstance(value, float):
        return finite(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {printable(str(name)): json_type(of) for name, of in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_type(one) for one in value]
    return printable(str(value))
