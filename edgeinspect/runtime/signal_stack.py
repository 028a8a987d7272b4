"""The stack that signals are handled on, given back to Python's handlers.

OpenVINO's CPU plugin gives the thread that loads it an alternate signal stack of the least size at
which the kernel delivers a signal (AT_MINSIGSTKSZ; 11568 bytes where there is AMX). Python's
handlers run on it and need more: SIGTERM or Ctrl-C would write beyond it, or end the process with a
segmentation fault. Without an alternate stack they run on the thread's own.
"""

from __future__ import annotations

import ctypes
import sys

__all__ = ["alternate_stack_bytes", "drop_alternate_stack"]

SS_DISABLE = 2  # of Linux's signal.h


class _Stack(ctypes.Structure):
    """stack_t"""

    _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def alternate_stack_bytes() -> int:
    """Of the calling thread; 0 if it has none, or where it is not known how to ask."""
    found = _Stack()
    if sys.platform == "linux":
        ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return 0 if found.flags & SS_DISABLE else int(found.size)


def drop_alternate_stack() -> None:
    """Have signals of the calling thread handled on its own stack."""
    if sys.platform == "linux":
        ctypes.CDLL(None).sigaltstack(ctypes.byref(_Stack(flags=SS_DISABLE)), None)
