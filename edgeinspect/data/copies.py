"""Files with the same content: one picture under several names.

Between listing and reading. Counted twice a picture would pass for two parts: a threshold would
promise more than the parts support, and a copy of one that trained would choose the checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from edgeinspect.data.images import file_sha256
from edgeinspect.errors import ImageError

__all__ = ["distinct_pictures"]

_log = logging.getLogger(__name__)


def distinct_pictures(paths: Iterable[Path]) -> list[Path]:
    """The paths without those whose content came before; one warning tells how many those are.

    A file that cannot be read stays: reading the picture will name it.
    """
    first: dict[str, Path] = {}
    kept: list[Path] = []
    copies: list[Path] = []
    for path in paths:
        try:
            is_first = first.setdefault(file_sha256(path), path) == path
        except ImageError:
            is_first = True
        (kept if is_first else copies).append(path)
    if copies:
        told = "%d of the pictures are copies of others and left out (%s is one)"
        _log.warning(told, len(copies), copies[0])
    return kept
