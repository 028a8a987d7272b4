"""Files with the same content: one picture under several names.

Between listing and reading. Counted twice a picture would pass for two parts: a threshold would
promise more than the parts support, and a copy of one that trained would choose the checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from edgeinspect.digests import file_sha256

__all__ = ["distinct_pictures"]

_log = logging.getLogger(__name__)


def distinct_pictures(paths: Iterable[Path]) -> dict[Path, str]:
    """sha256 by path, without files whose content came before; one warning tells how many.

    A file that cannot be read stays, with "": reading the picture will name it.
    """
    distinct: dict[Path, str] = {}
    known: set[str] = set()
    copies: list[Path] = []
    for path in paths:
        digest = _sha256(path)
        if digest in known:
            copies.append(path)
            continue
        distinct[path] = digest
        if digest:
            known.add(digest)
    if copies:
        told = "%d of the pictures are copies of others and left out (%s is one)"
        _log.warning(told, len(copies), copies[0])
    return distinct


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:
        return ""
