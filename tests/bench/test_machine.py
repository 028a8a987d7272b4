"""Whether the box stood still."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeinspect.bench.machine import Watch, read_hardware, read_versions


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))


def write_clock(root: Path, mhz: int) -> None:
    folder = root / "sys/devices/system/cpu/cpu0/cpufreq"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scaling_cur_freq").write_text(f"{1000 * mhz}\n")


def watch_clocks(root: Path, clocks_mhz: list[int]) -> Watch:
    write_clock(root, 800)
    watch = Watch(None, root)
    for mhz in clocks_mhz:
        write_clock(root, mhz)
        watch.look()
    return watch


def test_a_clock_that_falls_is_told(tmp_path: Path) -> None:
    (words,) = watch_clocks(tmp_path, [3000, 3000, 2000, 2000]).warnings(4)
    assert "fell from 3000 to 2000 MHz" in words


def test_a_box_that_wakes_up_is_not_throttled(tmp_path: Path) -> None:
    assert watch_clocks(tmp_path, [3000, 2950, 3000, 2980]).warnings(4) == []


def test_other_work_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (7.0, 0.0, 0.0))
    (words,) = Watch(None, tmp_path).warnings(2)
    assert "load 7.0 on 2 cores" in words


def test_the_hottest_zone_counts(tmp_path: Path) -> None:
    for i, milli in enumerate((41000, 67000)):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{i}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(f"{milli}\n")
    assert Watch(None, tmp_path).states[0].cpu_temperature_c == 67.0


def test_hardware_and_versions_name_this_box() -> None:
    hardware = read_hardware()
    assert hardware.n_cores >= 1
    assert hardware.cpu in str(hardware)
    assert {"python", "onnxruntime", "numpy"} <= set(read_versions())


def test_how_cores_choose_their_clock_is_told(tmp_path: Path) -> None:
    for core, governor in enumerate(("performance", "powersave", "performance")):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
    assert Watch(None, tmp_path).states[0].cpu_governor == "performance and powersave"
