"""`__all__` of every module: it lists what exists, and all that other modules use."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path
    for folder in ("edgeinspect", "export", "calibration")
    for path in (ROOT / folder).rglob("*.py")
    if path.name != "__main__.py"
)


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "edgeinspect" else ("edgeinspect", *parts)
    return ".".join(parts).removesuffix(".__init__")


PATHS = {_name(path): path for path in MODULES}


@pytest.fixture(params=MODULES, ids=_name)
def module(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_all_lists_each_public_name_once(module: Path) -> None:
    listed = _listed(module)
    assert _defined_names(module) <= set(listed or [])
    for name in listed or []:
        assert not name.startswith("_") or name == "__version__"
    assert len(set(listed or [])) == len(listed or [])


def test_a_module_uses_only_what_others_list(module: Path) -> None:
    for owner, name in _names_used(module):
        is_module = f"{owner}.{name}" in PATHS
        assert is_module or name in (_listed(PATHS[owner]) or []), f"{owner} does not list {name}"


def test_every_listed_name_exists(module: Path) -> None:
    imported = importlib.import_module(_name(module))
    for name in _listed(module) or []:
        assert hasattr(imported, name)


def test_every_module_says_what_it_is_for(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_a_package_that_lists_its_modules_lists_all() -> None:
    for path in (path for path in MODULES if path.name == "__init__.py"):
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        if re.search(r"^ *\w+\.py ", said, re.MULTILINE):
            modules = {file.name for file in path.parent.glob("*.py")} - {path.name}
            unsaid = {name for name in modules if name not in said}
            assert not unsaid, f"{_name(path)} says nothing of {sorted(unsaid)}"


def _listed(path: Path) -> list[str] | None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def _defined_names(path: Path) -> set[str]:
    """Classes and functions without an underscore at the module's top."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    tops = [node for node in ast.parse(path.read_text()).body if isinstance(node, kinds)]
    return {node.name for node in tops if not node.name.startswith("_")}


def _names_used(path: Path) -> set[tuple[str, str]]:
    """(module, name) of each `from edgeinspect... import name`, inside functions too."""
    return {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if node.module.split(".")[0] == "edgeinspect"
    }
