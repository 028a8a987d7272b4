"""Inspection of metal parts: learn good parts, then judge every part beside the line.

    with edgeinspect.open("part.bundle") as inspector:
        inspection = inspector(picture)  # uint8 (H, W, 3) RGB or (H, W) grey
        print(inspection.verdict, inspection.score)

The names below are imported when they are first used, so that `import edgeinspect` costs
next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeinspect.runtime.inspection import Inspection, Verdict
    from edgeinspect.runtime.inspector import Inspector
    from edgeinspect.runtime.inspector import open_inspector as open
    from edgeinspect.runtime.regions import Region

__all__ = ["Inspection", "Inspector", "Region", "Verdict", "__version__", "open"]

__version__ = "0.1.0"

_PLACES = {  # (module of edgeinspect.runtime, name there)
    "Inspection": ("inspection", "Inspection"),
    "Inspector": ("inspector", "Inspector"),
    "Region": ("regions", "Region"),
    "Verdict": ("inspection", "Verdict"),
    "open": ("inspector", "open_inspector"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'edgeinspect' has no attribute {name!r}")
    module, there = _PLACES[name]
    value = getattr(importlib.import_module(f"edgeinspect.runtime.{module}"), there)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
