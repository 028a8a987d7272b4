"""Engines of a bundle as files: a plan, and the receipt beside it that says what it is.

    receipt.py  what an engine was built from and for, its fingerprint, and the proof that it works
    store.py    engines/ of a bundle: find one that fits, install one, record a proof
    trust.py    which engines may bring code of their own

`edgeinspect.building` makes engines, `edgeinspect.runtime` runs them; neither torch nor TensorRT
is needed to look at them.
"""

from __future__ import annotations

from edgeinspect.engines.receipt import (
    OPEN_TARGET,
    VERSION_COMPATIBLE,
    BatchRange,
    EngineKey,
    Layers,
    Proof,
    Receipt,
    host_system,
)
from edgeinspect.engines.store import (
    Engine,
    build_lock,
    find_engine,
    graph_sha256,
    install_engine,
    list_engines,
    record_proof,
)
from edgeinspect.engines.trust import remember_plan, require_trusted, trust_engines

__all__ = [
    "OPEN_TARGET",
    "VERSION_COMPATIBLE",
    "BatchRange",
    "Engine",
    "EngineKey",
    "Layers",
    "Proof",
    "Receipt",
    "build_lock",
    "find_engine",
    "graph_sha256",
    "host_system",
    "install_engine",
    "list_engines",
    "record_proof",
    "remember_plan",
    "require_trusted",
    "trust_engines",
]
