"""Lists the API of TensorRT's Python bindings, for tests/test_tensorrt_contract.py.

    python benchmarks/tensorrt_api.py 10.3.0 10.16.1.11 11.4.0.106 rtx-1.7.1.116

The bindings of each version are fetched from the package index into a temporary folder. They are
real, but import only with NVIDIA's libraries, which the index does not have: three small libraries
with the functions that an import looks for stand in for them (a C compiler is needed), so that
classes and enums are those of the version and nothing can be built.

Result: tests/data/tensorrt_api/VERSION.json with `module` (names), `classes` (member to the class
that it returns, or "") and `enums` (their members).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

OUT = Path(__file__).parents[1] / "tests/data/tensorrt_api"
PACKAGE = "tensorrt-cu12-bindings"
RTX_PACKAGES = ("tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu13-libs")
LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin")
FUNCTIONS = (  # what the bindings look for when they are imported
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getPluginRegistry",
    "getNvOnnxParserVersion",
    "initLibNvInferPlugins",
)


def main(versions: list[str]) -> None:
    for version in versions:
        with tempfile.TemporaryDirectory() as folder:
            text = list_version(version, Path(folder))
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / f"{version}.json").write_text(text)
        print(f"{version}: {len(text)} bytes")


def list_version(version: str, folder: Path) -> str:
    """The listing of one version, made in a process of its own."""
    is_rtx = version.startswith("rtx-")
    number = version.removeprefix("rtx-")
    packages = RTX_PACKAGES if is_rtx else (PACKAGE,)
    pins = [f"{name}=={number}" for name in packages]
    target = ["--target", str(folder), "--python", sys.executable]
    subprocess.run(["uv", "pip", "install", "-q", "--no-deps", *target, *pins], check=True)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    if not is_rtx:
        make_stand_ins(folder, major=number.split(".")[0])
        environment["LD_LIBRARY_PATH"] = str(folder)
    name = "tensorrt_rtx_bindings" if is_rtx else "tensorrt_bindings"
    command = [sys.executable, __file__, "--list", name]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def make_stand_ins(folder: Path, *, major: str) -> None:
    source = folder / "stand_in.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in FUNCTIONS))
    for name in LIBRARIES:
        library = f"lib{name}.so.{major}"
        options = ["-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(folder / library)]
        subprocess.run(["cc", *options, str(source)], check=True)


def describe(module: ModuleType) -> dict[str, object]:
    names = sorted(name for name in dir(module) if not name.startswith("_"))
    kinds = {n: getattr(module, n) for n in names if isinstance(getattr(module, n), type)}
    enums = {n: k for n, k in kinds.items() if hasattr(k, "__members__")}
    classes = {n: k for n, k in kinds.items() if n not in enums and is_wanted(n)}
    nested = {
        f"{owner}.{name}": value
        for owner, kind in classes.items()
        for name, value in vars(kind).items()
        if isinstance(value, type) and hasattr(value, "__members__")
    }
    return {
        "version": module.__version__,
        "module": names,
        "classes": {n: {m: returned(k, m, classes) for m in public(k)} for n, k in classes.items()},
        "enums": {n: sorted(k.__members__) for n, k in sorted({**enums, **nested}.items())},
    }


def is_wanted(name: str) -> bool:
    """Networks come from ONNX and without plugins, so single kinds of layers are not looked at."""
    return name == "ILayer" or not ("Plugin" in name or name.endswith("Layer"))


def public(kind: type) -> list[str]:
    return sorted(name for name in dir(kind) if not name.startswith("_"))


def returned(kind: type, member: str, classes: dict[str, type]) -> str:
    """The class that a method or property gives, by its docstring; "" where it is none."""
    value = getattr(kind, member)
    text = (value.fget.__doc__ if isinstance(value, property) else value.__doc__) or ""
    found = re.search(r"\) -> ([\w.:]+)", text)
    name = "" if found is None else re.split(r"[.:]", found[1])[-1]
    if name in classes:
        return name
    return name[1:] if name[1:] in classes else ""  # IParserError is bound as ParserError


if __name__ == "__main__":
    if sys.argv[1] == "--list":
        json.dump(describe(__import__(sys.argv[2])), sys.stdout, separators=(",", ":"))
    else:
        main(sys.argv[1:])
