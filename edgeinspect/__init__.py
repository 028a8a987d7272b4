"""Inspection of metal parts: learn good parts, then judge every part beside the line.

    with edgeinspect.open("part.bundle") as inspector:
        inspection = inspector(picture)  # uint8 (H, W, 3) RGB or (H, W) grey
        print(inspection.verdict, inspection.score)

The names below are imported when they are first used, so that `import edgeinspect` costs
next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeinspect.runtime.inspector import Inspection, Inspector, Region, Verdict
    from edgeinspect.runtime.inspector import open_inspector as open

__all__ = ["Inspection", "Inspector", "Region", "Verdict", "__version__", "open"]

__version__ = "0.1.0"

_FROM_INSPECTOR = {
    "Inspection": "Inspection",
    "Inspector": "Inspector",
    "Region": "Region",
    "Verdict": "Verdict",
    "open": "open_inspector",
}


def __getattr__(name: str) -> Any:
    if name not in _FROM_INSPECTOR:
        raise AttributeError(f"module 'edgeinspect' has no attribute {name!r}")
    from edgeinspect.runtime import inspector

    value = getattr(inspector, _FROM_INSPECTOR[name])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
