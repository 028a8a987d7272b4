"""The sha256 of a file, and of a set of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["file_sha256", "list_sha256"]

_PIECE = 1 << 20  # bytes in memory at a time


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes. Raises OSError if it cannot be read."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def list_sha256(digests: Iterable[str]) -> str:
    """One sha256 for a set of files, from theirs, whatever the order; "" for none.

    As a shell says it: sha256sum FILES | cut -c1-64 | sort | sha256sum
    """
    lines = [f"{digest}\n" for digest in sorted(digests)]
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""
