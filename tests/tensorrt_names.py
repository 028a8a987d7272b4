"""Which names of a TensorRT module the code uses, found from the code itself.

Types are followed from what is called `trt` (the module) and from annotations `trt.CLASS`, through
attributes, calls (by what the listing says they give), assignments, loops and comprehensions.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODULE = "module"  # the type of `trt` itself
Kind = str  # "module", "type:CLASS", "CLASS", "list:CLASS", or "" where it is not TensorRT's


@dataclass(frozen=True)
class Listing:
    """The API of one version (benchmarks/tensorrt_api.py)."""

    name: str
    module: frozenset[str]
    classes: dict[str, dict[str, str]]
    enums: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Listing:
        plain: dict[str, Any] = json.loads(path.read_text())
        return cls(path.stem, frozenset(plain["module"]), plain["classes"], plain["enums"])

    def has(self, owner: Kind, name: str) -> bool:
        if name.startswith("__"):
            return True
        if owner == MODULE:
            return name in self.module
        if owner in self.enums:
            return name in self.enums[owner] or name in ("name", "value")
        return owner not in self.classes or name in self.classes[owner]

    def has_anywhere(self, name: str) -> bool:
        return name in self.module or any(name in members for members in self.classes.values())

    def given(self, owner: Kind, name: str) -> Kind:
        """The type of an attribute, and of what it gives when it is a method."""
        if owner == MODULE:
            return f"type:{name}" if name in self.module else ""
        kind = owner.removeprefix("type:")
        if name.startswith("__"):
            return ""
        if f"{kind}.{name}" in self.enums:
            return f"type:{kind}.{name}"
        if kind in self.enums:
            return kind
        return self.classes.get(kind, {}).get(name, "")


@dataclass(frozen=True, order=True)
class Use:
    """One use of a name: where, of what, and the names that its function asks for before."""

    place: str
    owner: Kind
    name: str
    guards: frozenset[str] = field(compare=False)

    def __str__(self) -> str:
        return f"{self.place}: {self.owner}.{self.name}"


def uses_in(source: str, place: str, listing: Listing, returns: dict[str, Kind]) -> list[Use]:
    """Every use of a TensorRT name in a file; `returns` is what functions elsewhere give."""
    reader = _Reader(place, listing, returns)
    reader.visit(ast.parse(source))
    return sorted(set(reader.uses))


def returns_of(source: str) -> dict[str, Kind]:
    """Functions by name that are annotated to give a class of TensorRT's."""
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    return {f.name: kind for f in functions if (kind := _annotated(f.returns))}


def missing(use: Use, listing: Listing) -> bool:
    """Whether a version lacks a name and nothing that its function asks for is lacking, too."""
    is_guarded = any(not listing.has_anywhere(name) for name in use.guards)
    return not listing.has(use.owner.removeprefix("type:"), use.name) and not is_guarded


def _annotated(node: ast.expr | None) -> Kind:
    """CLASS of `trt.CLASS` or `trt.CLASS | None`."""
    if isinstance(node, ast.BinOp):
        return _annotated(node.left)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr if node.value.id == "trt" else ""
    return ""


class _Reader(ast.NodeVisitor):
    def __init__(self, place: str, listing: Listing, returns: dict[str, Kind]) -> None:
        self.place, self.listing, self.returns = place, listing, returns
        self.uses: list[Use] = []
        self.names: dict[str, Kind] = {"trt": MODULE}
        self.guards: frozenset[str] = frozenset()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        before = dict(self.names)
        bases = [self.kind(base).removeprefix("type:") for base in node.bases]
        for base in filter(None, bases):  # a method that overrides nothing is never called
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    self._use(node, base, method.name)
        for inner in ast.walk(node):  # what methods keep in self
            if isinstance(inner, ast.AnnAssign) and _is_of_self(inner.target):
                self.names[ast.unparse(inner.target)] = _annotated(inner.annotation)
        self.generic_visit(node)
        self.names = before

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        names, guards = dict(self.names), self.guards
        self.guards = guards | frozenset(_guards(node))
        for argument in (*node.args.args, *node.args.kwonlyargs):
            kind = _annotated(argument.annotation)
            self.names[argument.arg] = MODULE if argument.arg == "trt" else kind
        for statement in node.body:
            self.visit(statement)
        self.names, self.guards = names, guards

    def visit_Assign(self, node: ast.Assign) -> None:
        kind = self.kind(node.value)
        for target in node.targets:
            self._bind(target, kind)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        kind = _annotated(node.annotation) or ("" if node.value is None else self.kind(node.value))
        self._bind(node.target, kind)

    def visit_For(self, node: ast.For) -> None:
        self._bind(node.target, self.kind(node.iter).removeprefix("list:"))
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        pass

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.expr):
            self.kind(node)
        else:
            super().generic_visit(node)

    def kind(self, node: ast.expr) -> Kind:
        """The type of an expression; every use inside it is noted."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, "")
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp):
            return self._comprehension(node)
        if isinstance(node, ast.List | ast.Tuple):
            kinds = [self.kind(element) for element in node.elts]
            return f"list:{kinds[0]}" if kinds and kinds[0] else ""
        if isinstance(node, ast.IfExp):
            kinds = [self.kind(part) for part in (node.test, node.body, node.orelse)]
            return kinds[1] or kinds[2]
        for child in ast.iter_child_nodes(node):
            self.visit(child)
        return ""

    def _attribute(self, node: ast.Attribute) -> Kind:
        if ast.unparse(node) in self.names:
            return self.names[ast.unparse(node)]
        owner = self.kind(node.value)
        if not owner or owner.startswith("list:"):
            return ""
        self._use(node, owner, node.attr)
        return self.listing.given(owner, node.attr)

    def _call(self, node: ast.Call) -> Kind:
        function = self.kind(node.func)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self.kind(argument)
        if isinstance(node.func, ast.Name) and not function:
            return self.returns.get(node.func.id, "")
        return function.removeprefix("type:")

    def _comprehension(
        self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp
    ) -> Kind:
        before = dict(self.names)
        for part in node.generators:
            self._bind(part.target, self.kind(part.iter).removeprefix("list:"))
            for condition in part.ifs:
                self.kind(condition)
        elements = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        kinds = [self.kind(element) for element in elements]
        self.names = before
        return f"list:{kinds[0]}" if kinds[0] else ""

    def _bind(self, target: ast.expr, kind: Kind) -> None:
        if isinstance(target, ast.Attribute) and not _is_of_self(target):
            self.kind(target)
        elif not (isinstance(target, ast.Name) and target.id == "trt"):
            self.names[ast.unparse(target)] = kind

    def _use(self, node: ast.AST, owner: Kind, name: str) -> None:
        place = f"{self.place}:{getattr(node, 'lineno', 0)}"
        self.uses.append(Use(place, owner, name, self.guards))


def _is_of_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"


def _guards(node: ast.FunctionDef) -> Iterator[str]:
    """Names that a function asks for: hasattr(x, "name"), getattr(x, "name", otherwise)."""
    for call in ast.walk(node):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            continue
        is_question = call.func.id == "hasattr" or (
            call.func.id == "getattr" and len(call.args) == 3
        )
        if is_question and isinstance(call.args[1], ast.Constant):
            yield str(call.args[1].value)
