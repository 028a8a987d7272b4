"""What a Jetson's files say, with those of boards we do not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeinspect.jetson import free_memory_bytes, read_jetson

ORIN = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "proc/meminfo": "MemTotal:        7800000 kB\nMemAvailable:    5000000 kB\n",
    "var/lib/nvpmodel/status": "pmode:0002",
    "etc/nvpmodel.conf": (
        "# comment\n< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n"
        "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=0 >\n"
    ),
    "sys/class/devfreq/17000000.gpu/cur_freq": "306000000\n",
    "sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
    "sys/class/devfreq/17000000.gpu/max_freq": "1020000000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1728000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "1728000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1728000\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in ORIN.items():
        _write(tmp_path, name, text)
    return tmp_path


def _write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_board_release_and_power_are_read(root):
    jetson = read_jetson(root)
    assert str(jetson) == "NVIDIA Jetson Orin Nano Developer Kit, JetPack 6 (L4T 36.4.3)"
    assert jetson is not None
    assert jetson.power == "mode MAXN_SUPER, GPU 306 to 1020 MHz, CPU fixed at 1728 MHz"


@pytest.mark.parametrize(("major", "jetpack"), [(35, 5), (36, 6), (38, 7), (39, 7), (99, None)])
def test_the_release_tells_the_jetpack(root, major, jetpack):
    _write(root, "etc/nv_tegra_release", f"# R{major} (release), REVISION: 2.0, GCID: 1\n")
    jetson = read_jetson(root)
    assert jetson is not None
    assert jetson.jetpack == jetpack


def test_another_machine_is_no_jetson(tmp_path):
    assert read_jetson(tmp_path) is None


def test_a_mode_without_a_name_keeps_its_number(root):
    (root / "etc/nvpmodel.conf").unlink()
    jetson = read_jetson(root)
    assert jetson is not None
    assert jetson.power_mode == "number 2"


def test_what_cannot_be_read_is_left_out(root):
    _write(root, "var/lib/nvpmodel/status", "")
    _write(root, "sys/class/devfreq/17000000.gpu/max_freq", "unknown")
    (root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq").unlink()
    jetson = read_jetson(root)
    assert jetson is not None
    assert (jetson.power_mode, jetson.clocks) == (None, ())


def test_free_memory_is_what_programs_can_still_have(root, tmp_path):
    assert free_memory_bytes(root) == 5_000_000 * 1024
    assert free_memory_bytes(tmp_path / "nothing") is None
