"""Meters, on files and lines of boxes that have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeinspect.bench import energy
from edgeinspect.bench.energy import Energy, RaplMeter, TegrastatsMeter, find_meters

# As JetPack 6 prints it on an Orin Nano: now / average since the start.
TEGRASTATS = "RAM 2500/7620MB CPU [5%@729] gpu@45C VDD_IN 5000mW/4800mW VDD_CPU_GPU_CV 800mW/790mW"


class FakeMeter:
    """A joule a look."""

    name = "fake"

    def __init__(self, joules: float = 1.0) -> None:
        self._each, self._total = joules, 0.0

    def joules(self) -> float:
        self._total += self._each
        return self._total

    def close(self) -> None:
        """Holds nothing."""


def write_zone(root: Path, microjoules: int, span: int = 10_000_000) -> Path:
    zone = root / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "energy_uj").write_text(f"{microjoules}\n")
    (zone / "max_energy_range_uj").write_text(f"{span}\n")
    return zone


def test_rapl_counts_on_when_its_counter_starts_again(tmp_path: Path) -> None:
    meter = RaplMeter([write_zone(tmp_path, 9_000_000)])
    write_zone(tmp_path, 9_500_000)
    assert meter.joules() == pytest.approx(0.5)
    write_zone(tmp_path, 499_999)
    assert meter.joules() == pytest.approx(1.5)


def test_tegrastats_is_power_times_time() -> None:
    meter = TegrastatsMeter([TEGRASTATS] * 20, close=lambda: None)
    meter.close()
    assert meter.joules() == pytest.approx(5.0 * 20 * energy.INTERVAL_MS / 1e3)


def test_images_per_joule_count_the_batch_and_all_meters() -> None:
    found = Energy.measure(lambda: None, 4, [FakeMeter(), FakeMeter(3.0)], for_s=0)
    assert found is not None
    assert found.source == "fake + fake"
    assert found.images_per_joule == pytest.approx(1.0)


def test_a_box_that_does_not_tell_its_energy_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy.shutil, "which", lambda name: None)
    meters, notes = find_meters(None, tmp_path)
    assert meters == []
    assert "does not tell" in notes[0]
    assert Energy.measure(lambda: None, 1, meters) is None


def test_counters_for_root_alone_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy.shutil, "which", lambda name: None)
    (write_zone(tmp_path, 1) / "energy_uj").unlink()
    meters, notes = find_meters(None, tmp_path)
    assert meters == []
    assert "root" in notes[0]
