"""Keeps freed memory in the process, where the C library allows it.

A training step frees and takes the same large blocks again and again. glibc gives each back to
the system at once, which then clears every page anew, and on a CPU a step waits for it
(`benchmarks/training_layouts.py`). Speed only; no result depends on it.
"""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
LARGEST_KEPT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Ask glibc to reuse freed blocks of any size. False where there is no glibc."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(option, LARGEST_KEPT) for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD))
