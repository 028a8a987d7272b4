"""The report's files, and the page as a browser sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeinspect.bench.folder import render_markdown, render_record, write_bench
from edgeinspect.bench.results import BaselineResult, read_report
from edgeinspect.bench.tables import report_facts
from edgeinspect.errors import DataError, OutputError
from tests.bench.reports import report, variant
from tests.chromium import look_at

NO_TORCH = BaselineResult(
    name="unoptimised",
    description="preset tiny, eager",
    latency=None,
    round_ms=(),
    why_not="torch is not installed here",
)


def test_the_folder_holds_three_files_and_reads_back(tmp_path: Path) -> None:
    write_bench(report(), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "bench.html",
        "bench.json",
        "bench.md",
    ]
    assert read_report(tmp_path / "out") == report().plain()


def test_the_record_tells_images_from_parts_that_are_cut_into_tiles() -> None:
    pictures = {"source": "parts", "n_pictures": 8, "n_images": 24, "sha256": "c" * 64}
    cut = report(pictures=pictures)
    assert "; 9.2 ms a part, from file to record" in render_record(cut)
    assert "An image is a tile: a part is cut into 3 of them." in render_record(cut)
    assert "An image is a tile" not in render_markdown(report())


def test_an_earlier_report_is_replaced_by_force_alone(tmp_path: Path) -> None:
    write_bench(report(), tmp_path / "out")
    with pytest.raises(OutputError, match="--force"):
        write_bench(report(), tmp_path / "out")
    write_bench(report(variant([7.0, 7.0])), tmp_path / "out", force=True)
    assert read_report(tmp_path / "out")["variants"][0]["round_ms"] == [7.0, 7.0]


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="not written by edgeinspect bench"):
        write_bench(report(), tmp_path, force=True)


def test_numbers_that_are_not_finite_become_null() -> None:
    text = report(variant([10.0, 10.0], device_ms=float("nan"))).to_json()
    assert json.loads(text)["variants"][0]["device_ms"] is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1, "hardware": {}, "variants": [1]}'])
def test_a_file_that_is_no_report_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(DataError, match="is not a report of edgeinspect bench"):
        read_report(tmp_path)


@pytest.mark.parametrize("round_ms", [[], None, [0.0], ["fast"]])
def test_a_report_without_times_is_refused(tmp_path: Path, round_ms: object) -> None:
    plain = report().plain()
    plain["variants"][0]["round_ms"] = round_ms
    (tmp_path / "bench.json").write_text(json.dumps(plain))
    with pytest.raises(DataError, match="is not a report of edgeinspect bench"):
        read_report(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text(json.dumps({**report().plain(), "schema": 99}))
    with pytest.raises(DataError, match="schema 99"):
        read_report(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_report(tmp_path / "nowhere.json")


def test_markdown_has_ratios_with_their_interval_and_what_to_beware_of() -> None:
    text = render_markdown(report(variant([10.0, 10.2], warnings=("noisy",))))
    assert "2.50 (2.40 to 2.60)" in text
    assert "- onnxruntime fp32 batch 1: noisy" in text
    assert "- tensorrt: there is no GPU" in text
    assert "| expected false-reject rate | 2 % asked for; 95 %: 1 to 5 % |" in text


def test_what_a_signature_vouches_for_is_named() -> None:
    facts = dict(report_facts(report()))
    assert facts["bundle"] == f"part, manifest sha256 {'a' * 16}"
    assert facts["graph_fp32.onnx"] == f"sha256 {'d' * 16}"
    assert facts["judged pictures"] == f"8 of parts (8 images), sha256 {'c' * 16}"
    assert facts["power mode"] == "CPU governor performance"
    assert facts["clocks"] == "CPU 3000 to 3000 MHz"


def test_a_power_mode_that_the_box_keeps_to_itself_is_said_to_be_unknown() -> None:
    state = {**report().states[0], "cpu_governor": None}
    facts = dict(report_facts(report(states=(state,))))
    assert facts["power mode"] == "not told by this machine"


def test_without_torch_the_reference_is_named_and_no_ratio_given() -> None:
    text = render_markdown(
        report(variant([10.0, 10.2], ratio=None, energy=None), baselines=(NO_TORCH,))
    )
    assert "No ratio: torch is not installed here." in text
    assert "| onnxruntime fp32 batch 1 | 10 | 10.1 |" in text


def test_the_page_needs_no_other_file_and_has_its_charts(tmp_path: Path) -> None:
    page = tmp_path / "bench.html"
    page.write_text(render_record(report(variant([10.0, 10.2], warnings=("<noisy>",)))))
    for width in (1280, 480):
        seen = look_at(page, tmp_path, width=width)
        assert seen.title == "Acceptance record: part"
        assert seen.addresses == []
        assert seen.console == []
        assert seen.n_charts == 3
        assert "<noisy>" in seen.text
        assert seen.scroll_width <= seen.width
