"""What `doctor` reads from a machine, with the files and answers of machines we do not have."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from edgeinspect import doctor as doctor_module
from edgeinspect.bundle import read_bundle
from edgeinspect.cli.main import build_app
from edgeinspect.doctor import diagnose, read_gpus, read_machine
from edgeinspect.gpu import Gpu
from edgeinspect.runtime.session import RUNTIMES, open_session
from tests.bundles import make_bundle

ORIN_RELEASE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"
ORIN_CPU = "processor : 0\nmodel name : ARMv8 Processor rev 1 (v8l)\nFeatures : fp asimd asimddp\n"


@pytest.fixture
def orin(tmp_path: Path) -> Path:
    """The files of a Jetson Orin Nano that doctor reads."""
    files = {
        "etc/nv_tegra_release": ORIN_RELEASE,
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
        "proc/cpuinfo": ORIN_CPU,
        "proc/meminfo": "MemTotal:        7800000 kB\nMemAvailable:    5000000 kB\n",
        "usr/lib/python3.10/dist-packages/tensorrt/__init__.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_jetson_is_named_with_its_jetpack_and_power(orin: Path) -> None:
    machine = read_machine(orin)
    assert machine.jetson == "NVIDIA Jetson Orin Nano Developer Kit, JetPack 6 (L4T 36.4.3)"
    assert machine.power == "power mode unknown"


def test_shared_memory_is_noted_on_a_jetson(orin: Path) -> None:
    notes = " ".join(diagnose(root=orin, gpu_query=lambda: "").notes)
    assert "the GPU's memory is the CPU's" in notes
    assert "engines need" not in notes


@pytest.mark.parametrize(
    "release", ["R35 (release), REVISION: 4.1", "R36 (release), REVISION: 3.0"]
)
def test_a_jetpack_without_tensorrt_10_is_noted(release: str, orin: Path) -> None:
    (orin / "etc/nv_tegra_release").write_text(f"# {release}, GCID: 1\n")
    notes = " ".join(diagnose(root=orin, gpu_query=lambda: "").notes)
    assert "engines need JetPack 6.1 or later" in notes


@pytest.mark.parametrize("answer", ["", "Orin (nvgpu), 540.4.0, [N/A], [N/A]\n"])
def test_a_gpu_that_nvidia_smi_does_not_know_is_asked_of_the_driver(
    answer: str, orin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Gpu(
        name="Orin", compute_capability="8.7", memory_bytes=1, is_integrated=True, cuda="12.6"
    )
    monkeypatch.setattr(doctor_module, "read_gpu", lambda: gpu)
    monkeypatch.setattr(doctor_module, "_ask_nvidia_smi", lambda: answer)
    (found,) = diagnose(root=orin).gpus
    assert (found.name, found.compute_capability, found.memory_mib) == ("Orin", "8.7", None)


@pytest.mark.parametrize(
    ("has_gstreamer", "purpose"),
    [(False, "pictures and video"), (True, "pictures, video, gst: and csi://")],
)
def test_the_opencv_of_the_system_is_one_and_it_is_said_what_it_reads(
    has_gstreamer: bool, purpose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_module, "_version_of", lambda name: None)  # pip knows of nothing
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda which: has_gstreamer)
    packages = diagnose(root=tmp_path, gpu_query=lambda: "").packages
    found = next(package for package in packages if package.name == "OpenCV (the system's)")
    assert (found.version, found.purpose) == (cv2.__version__, purpose)


def test_processor_and_memory_come_from_proc(orin: Path) -> None:
    machine = read_machine(orin)
    assert machine.cpu == "ARMv8 Processor rev 1 (v8l)"
    assert machine.cpu_flags == ("asimd", "asimddp")
    assert machine.memory_bytes == 7_800_000 * 1024
    assert machine.memory_free_bytes == 5_000_000 * 1024


def test_a_machine_without_proc_still_has_a_diagnosis(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    assert machine.memory_bytes is None
    assert machine.n_cores >= 1


def test_each_gpu_line_becomes_a_gpu() -> None:
    gpus = read_gpus("NVIDIA RTX A2000, 550.90, 8.6, 12282\nOrin, 540.4, 8.7, [N/A]\nnonsense\n")
    assert [gpu.compute_capability for gpu in gpus] == ["8.6", "8.7"]
    assert [gpu.memory_mib for gpu in gpus] == [12282, None]


def test_a_gpu_without_its_runtime_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_only(monkeypatch, {"onnxruntime": "1.30"})
    diagnosis = diagnose(root=tmp_path, gpu_query=lambda: "RTX, 550, 8.6, 8192")
    assert 'pip install "edgeinspect[gpu]"' in " ".join(diagnosis.notes)


def test_both_onnxruntime_packages_at_once_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_only(monkeypatch, {"onnxruntime": "1.30", "onnxruntime-gpu": "1.30"})
    diagnosis = diagnose(root=tmp_path, gpu_query=lambda: "")
    assert "share one module" in " ".join(diagnosis.notes)


def test_tensorrt_that_the_environment_cannot_see_is_noted(
    orin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_only(monkeypatch, {})
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")
    diagnosis = diagnose(root=orin, gpu_query=lambda: "")
    assert "--system-site-packages" in " ".join(diagnosis.notes)


def test_a_jetson_gets_tensorrt_from_jetpack_and_its_binding_from_pip(
    orin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_only(monkeypatch, {})
    packages = {p.name: p for p in diagnose(root=orin, gpu_query=lambda: "").packages}
    assert packages["tensorrt"].install == "sudo apt-get install nvidia-jetpack"
    assert packages["cuda-python"].install == 'pip install "cuda-python~=12.6"'


def test_a_jetson_is_not_told_to_install_what_does_not_serve_its_gpu(
    orin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_only(monkeypatch, {"onnxruntime": "1.23"})
    names = {p.name for p in diagnose(root=orin, gpu_query=lambda: "").packages}
    assert "cuda-python" in names
    assert not names & {"onnxruntime-gpu", "tensorrt-rtx-cu13", "torch", "onnxsim"}


def test_what_a_jetson_has_is_shown_all_the_same(
    orin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_only(monkeypatch, {"onnxruntime-gpu": "1.23"})
    packages = diagnose(root=orin, gpu_query=lambda: "").packages
    assert [p.version for p in packages if p.name == "onnxruntime-gpu"] == ["1.23", "1.23"]


def test_a_missing_package_comes_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_only(monkeypatch, {"numpy": "2.0"})
    packages = {p.name: p for p in diagnose(root=tmp_path, gpu_query=lambda: "").packages}
    assert packages["numpy"].version == "2.0"
    assert packages["torch"].version is None
    assert packages["torch"].install == 'pip install "edgeinspect[train]"'


def test_each_runtime_is_ready_or_says_what_it_lacks() -> None:
    states = {state.name: state.lacks for state in diagnose(gpu_query=lambda: "").runtimes}
    assert states.keys() == set(RUNTIMES) - {"auto"}
    assert states["onnxruntime"] is None
    assert states["tensorrt"] is not None


def test_a_runtime_that_was_found_can_be_opened(tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path))
    for state in diagnose(gpu_query=lambda: "").runtimes:
        if state.lacks is None:
            with open_session(bundle, runtime=state.name) as session:
                assert session.name == state.name


def test_the_table_and_the_json_tell_the_same() -> None:
    told = CliRunner().invoke(build_app("doctor"), ["doctor"])
    data = json.loads(CliRunner().invoke(build_app("doctor"), ["doctor", "--json"]).stdout)
    assert told.exit_code == 0
    for package in data["packages"]:
        assert package["name"] in told.stdout
        assert (package["version"] or package["install"]) in told.stdout
    assert data["machine"]["cpu"] in told.stdout


def _install_only(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]) -> None:
    """Make the machine one that has these distributions and no others."""
    monkeypatch.setattr(doctor_module, "_version_of", versions.get)
