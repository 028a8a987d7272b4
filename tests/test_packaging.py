"""What is installed: equal wheels from checkout and sdist, and a base that needs no torch."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgeinspect import __version__
from tests.bundles import make_bundle

ROOT = Path(__file__).parents[1]
BASE_PYTHON = (
    ROOT / ".venv-demo/bin/python"
)  # the base install, made by `make demo` and `make test`
NUMPY_1_PYTHON = ROOT / ".venv-numpy-1/bin/python"  # a base install with numpy<2, as a Jetson's
BASE_LIMIT_BYTES = 350e6
SYMPY_BYTES = 30e6  # more, where ONNX Runtime needs SymPy: the newest for Python 3.10 does
NOT_OURS = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}  # came with the environment
TRAINING = ("torch", "torchvision", "timm", "lightning_fabric", "onnx", "onnxscript")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sdist and wheel of the checkout, and `again/`, the wheel of that sdist."""
    folder = tmp_path_factory.mktemp("built")
    _hatch(ROOT, folder, "sdist", "wheel")
    subprocess.run(
        ["tar", "-xf", str(next(folder.glob("*.tar.gz"))), "-C", str(folder)], check=True
    )
    source = next(path for path in folder.glob("edgeinspect-*") if path.is_dir())
    _hatch(source, folder / "again", "wheel")
    return folder


def test_a_wheel_from_the_sdist_equals_one_from_the_checkout(built: Path) -> None:
    here, again = (_members(next(folder.glob("*.whl"))) for folder in (built, built / "again"))
    assert here.keys() == again.keys()
    assert here == again


def test_the_wheel_holds_the_linked_packages_and_the_data(built: Path) -> None:
    names = set(_members(next(built.glob("*.whl"))))
    for name in (
        "export/__init__.py",
        "calibration/__init__.py",
        "report/templates/inspection.html",
        "demo_bundle/manifest.json",
        "py.typed",
    ):
        assert f"edgeinspect/{name}" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"edgeinspect", f"edgeinspect-{__version__}.dist-info"}


def test_the_wheel_holds_every_module_of_the_checkout_and_no_leftovers(built: Path) -> None:
    names = set(_members(next(built.glob("*.whl"))))
    tracked = _tracked_modules()
    assert tracked <= names
    assert not [n for n in names if "__pycache__" in n or n.endswith((".pyc", ".lock"))]


def test_constraints_name_versions_and_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    for line in pins:
        assert re.fullmatch(r"[\w.-]+==[\w.+!]+( ; [\w\s.'<>=!()*-]+)?", line), line


def test_the_base_install_is_small(base: Path) -> None:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(_python(base, code).strip())
    installed = [p for p in site.iterdir() if p.name.split("-")[0] not in NOT_OURS]
    ours = [ROOT / "edgeinspect", ROOT / "export", ROOT / "calibration"]
    compiled = sum(_n_bytes(path) for folder in ours for path in folder.rglob("__pycache__"))
    # What tests that ran before left compiled in the checkout is in no wheel.
    limit = BASE_LIMIT_BYTES + SYMPY_BYTES * any(path.name == "sympy" for path in installed)
    assert sum(_n_bytes(path) for path in installed + ours) - compiled < limit


def test_the_base_install_runs_a_bundle(base: Path, tmp_path: Path) -> None:
    assert _n_parts_of_the_demo(base, tmp_path) == 30


def test_so_it_does_with_numpy_1(tmp_path: Path) -> None:
    if not NUMPY_1_PYTHON.exists():
        pytest.skip("there is no base install with NumPy 1 (make .venv-numpy-1/ready)")
    assert _python(NUMPY_1_PYTHON, "import numpy; print(numpy.__version__)").startswith("1.")
    assert _n_parts_of_the_demo(NUMPY_1_PYTHON, tmp_path) == 30


def _n_parts_of_the_demo(python: Path, folder: Path) -> int:
    bundle = make_bundle(folder)
    words = ["demo", "--out", str(folder / "demo"), "--bundle", str(bundle), "--json"]
    told = subprocess.run(
        [python, "-m", "edgeinspect", *words], check=True, capture_output=True, text=True
    )
    n_parts: int = json.loads(told.stdout)["n_parts"]
    return n_parts


@pytest.mark.parametrize("command", ["train", "export"])
def test_the_base_install_names_the_extra_that_training_needs(base: Path, command: str) -> None:
    words = [command, "nowhere", *(["--out", "run"] if command == "train" else ["part.bundle"])]
    done = subprocess.run(
        [base, "-m", "edgeinspect", *words], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert 'pip install "edgeinspect[train]"' in done.stderr


# Modules by how their names begin that need an extra: `train`, then `stream`.
OF_EXTRAS = (
    *("fitting", "training", "model", "scoring", "export", "bench.baseline", "bench.changes"),
    *("stream.view", "stream.sinks.modbus", "stream.sinks.mqtt", "stream.sinks.prometheus"),
    *("stream.sinks.opcua", "stream.sinks.webhook", "__main__"),
)


def test_modules_of_the_box_import_without_training_packages(base: Path) -> None:
    code = f"""
import importlib, pkgutil, edgeinspect
for found in pkgutil.walk_packages(edgeinspect.__path__, "edgeinspect.", onerror=print):
    if not found.name.removeprefix("edgeinspect.").startswith({OF_EXTRAS}):
        importlib.import_module(found.name)
"""
    printed = _python(base, code).split()
    assert all(name.removeprefix("edgeinspect.").startswith(OF_EXTRAS) for name in printed)


def test_importing_the_package_imports_next_to_nothing() -> None:
    code = "import sys; before = set(sys.modules); import edgeinspect; print(*sys.modules)"
    names = {name.split(".")[0] for name in _python(Path(sys.executable), code).split()}
    assert not names & {"numpy", "cv2", "onnxruntime", "typer", *TRAINING}


@pytest.fixture(scope="module")
def base() -> Path:
    """The Python of the base install."""
    if not BASE_PYTHON.exists():
        pytest.skip("there is no base install (make .venv-demo/ready)")
    return BASE_PYTHON


def _hatch(source: Path, out: Path, *targets: str) -> None:
    words = [word for target in targets for word in ("-t", target)]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *words, "-d", str(out)],
        cwd=source,
        check=True,
        capture_output=True,
    )


def _members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def _tracked_modules() -> set[str]:
    """Names in the wheel that the repository's modules should have."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    folders = ("edgeinspect", "export", "calibration")
    listed = subprocess.run(
        [git, "ls-files", "--", *folders], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    modules = {name for name in listed if name.endswith(".py")}
    return {n if n.startswith("edgeinspect/") else f"edgeinspect/{n}" for n in modules}


def _python(python: Path, code: str) -> str:
    return subprocess.run(
        [python, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT.anchor
    ).stdout


def _n_bytes(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(f.stat().st_size for f in files if f.is_file() and not f.is_symlink())
