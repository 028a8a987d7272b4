"""What a person may have meant: the near name among those that there are.

For the hints of errors, wherever a name, a key or a path was not found.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["suggest", "suggest_path"]


def suggest(name: str, known: Iterable[str]) -> str:
    """The near one of the known names, or all of them."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none'}"


def suggest_path(
    path: Path, *, otherwise: str = "check the path", keep: Callable[[Path], bool] = Path.exists
) -> str:
    """The path beside a missing one whose name is near and that `keep` accepts, or `otherwise`."""
    folder = path.parent
    try:
        names = [p.name for p in folder.iterdir() if keep(p)]
    except OSError:
        return otherwise
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {folder / near[0]}?" if near else otherwise
