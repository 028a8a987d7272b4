"""Which engines may bring code of their own: those built here, and those that a person let.

A version-compatible plan carries the runtime of the TensorRT that built it, whose code runs in our
process. What a bundle says of its own engine is no reason to let it, so the hashes of plans that
may are kept outside of all bundles, in a file of the user who runs us.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgeinspect.engines.receipt import VERSION_COMPATIBLE, Receipt
from edgeinspect.engines.store import Engine, list_engines
from edgeinspect.errors import EngineError
from edgeinspect.writing import output_errors, write_atomically

__all__ = ["remember_plan", "require_trusted", "trust_engines"]


def require_trusted(receipt: Receipt, bundle_path: Path) -> None:
    """Raise EngineError if an engine brings code, and is neither of this machine nor let."""
    if VERSION_COMPATIBLE in receipt.key.flags and receipt.plan_sha256 not in _trusted():
        raise EngineError(
            f"the engine {receipt.fingerprint} brings code that would run here, and was not built"
            " here by this user",
            hint=f"build it here, or if you know its maker: edgeinspect build-engine {bundle_path}"
            " --trust",
        )


def remember_plan(plan_sha256: str) -> None:
    """Let a plan's code run from now on. Raises: OutputError."""
    known, path = _trusted(), _place()
    if plan_sha256 in known:
        return
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "".join(f"{line}\n" for line in sorted({*known, plan_sha256})).encode())


def trust_engines(bundle_path: Path) -> tuple[Engine, ...]:
    """Let the code of all version-compatible engines that a bundle holds now.

    Raises: EngineError if it has none, or a plan is not whole; OutputError.
    """
    found = [e for e in list_engines(bundle_path) if VERSION_COMPATIBLE in e.receipt.key.flags]
    if not found:
        raise EngineError(f"{bundle_path} has no version-compatible engine: none brings code")
    for engine in found:
        engine.read_plan()  # its hash is then the receipt's
        remember_plan(engine.receipt.plan_sha256)
    return tuple(found)


def _trusted() -> frozenset[str]:
    try:
        return frozenset(_place().read_text(encoding="ascii").split())
    except (OSError, UnicodeDecodeError):
        return frozenset()


def _place() -> Path:
    """XDG's folder for what a program keeps of its user's decisions."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(state) / "edgeinspect" / "trusted_plans"
