"""Whether ONNX Runtime may be imported at all, on boards that we do not have."""

from __future__ import annotations

import platform
from pathlib import Path

import onnxruntime
import pytest

from edgeinspect.errors import EngineError
from edgeinspect.runtime import onnxruntime_graph
from edgeinspect.runtime.onnxruntime_graph import load_onnxruntime


def _cores(folder: Path, online: str) -> Path:
    (folder / "present").write_text("0-11\n")
    (folder / "online").write_text(f"{online}\n")
    return folder


def _board(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]) -> None:
    """An arm64 machine that has these distributions and no others."""

    def version(name: str) -> str:
        if name not in versions:
            raise onnxruntime_graph.importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(onnxruntime_graph.importlib.metadata, "version", version)


@pytest.mark.parametrize("package", ["onnxruntime", "onnxruntime-gpu"])
def test_a_version_that_would_abort_where_cores_are_off_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    _board(monkeypatch, {package: "1.23.2"})
    what = r"1\.23 cannot start .* off \(on are 0-7 of 0-11\); .* \(sudo nvpmodel -m 0\)$"
    with pytest.raises(EngineError, match=what):
        load_onnxruntime(_cores(tmp_path, "0-7"))


@pytest.mark.parametrize(
    ("online", "versions"),
    [
        ("0-11", {"onnxruntime": "1.23.2"}),
        ("0-7", {"onnxruntime": "1.32.0"}),
        ("0-7", {}),
    ],
)
def test_other_boards_and_versions_are_not_kept_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, online: str, versions: dict[str, str]
) -> None:
    _board(monkeypatch, versions)
    assert load_onnxruntime(_cores(tmp_path, online)) is onnxruntime


def test_a_machine_that_tells_nothing_of_its_cores_is_not_kept_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _board(monkeypatch, {"onnxruntime": "1.23.2"})
    assert load_onnxruntime(tmp_path) is onnxruntime
