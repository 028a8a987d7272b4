"""What got slower beyond noise."""

from __future__ import annotations

import pytest

from edgeinspect.bench.comparison import compare_reports
from edgeinspect.errors import ConfigError
from tests.bench.reports import HARDWARE, report, variant

STEADY = [10.0, 10.1, 9.9, 10.05, 9.95, 10.0]


def plain(rounds_ms: list[float], **changes: object) -> dict[str, object]:
    return report(variant(rounds_ms), **changes).plain()


def test_a_fifth_slower_is_slower_and_back_is_faster() -> None:
    slow = [1.2 * value for value in STEADY]
    (slower,) = compare_reports(plain(STEADY), plain(slow)).changes
    assert slower.words == "slower"
    assert slower.ratio.value == pytest.approx(1.2, rel=0.02)
    assert slower.before_ms == pytest.approx(10, rel=0.02)
    assert compare_reports(plain(slow), plain(STEADY)).changes[0].words == "faster"


def test_threads_are_part_of_what_is_compared() -> None:
    first, second = (report(variant(STEADY, threads=n)).plain() for n in (1, 2))
    with pytest.raises(ConfigError, match=r"batch 1 on 1 thread and .* on 2 threads"):
        compare_reports(first, second)


def test_what_any_two_runs_differ_by_is_the_same() -> None:
    found = compare_reports(plain(STEADY), plain([1.04 * value for value in STEADY]))
    assert found.changes[0].words == "same"
    assert found.slower == ()


def test_a_large_difference_of_few_wild_rounds_is_chance() -> None:
    wild = [5.0, 30.0, 6.0, 28.0, 7.0, 9.0]
    assert compare_reports(plain(wild), plain([1.3 * v for v in wild])).slower == ()


def test_rounds_too_wild_to_rule_a_change_out_are_not_told_apart() -> None:
    wild = [5.0, 30.0, 6.0, 28.0, 7.0, 9.0]
    found = compare_reports(plain(wild), plain([1.2 * v for v in wild]))
    assert [change.words for change in found.untold] == ["not told apart"]
    assert compare_reports(plain(STEADY), plain(STEADY)).untold == ()


def test_different_hardware_is_refused_unless_it_is_asked_for() -> None:
    other = plain(STEADY, hardware={**HARDWARE, "cpu": "Another CPU"})
    with pytest.raises(ConfigError, match="different hardware: cpu A CPU and Another CPU"):
        compare_reports(plain(STEADY), other)
    found = compare_reports(plain(STEADY), other, allows_other_hardware=True)
    assert found.other_hardware == ("cpu A CPU and Another CPU",)


def test_variants_of_one_report_alone_are_named() -> None:
    both = report(variant(STEADY), variant(STEADY, batch=8)).plain()
    assert compare_reports(both, plain(STEADY)).only_before == ("onnxruntime fp32 batch 8",)
    eight = report(variant(STEADY, batch=8)).plain()
    with pytest.raises(ConfigError, match="share no variant"):
        compare_reports(plain(STEADY), eight)


def test_times_are_the_medians_of_the_two_reports() -> None:
    (found,) = compare_reports(plain([1, 2, 3, 4, 5, 9]), plain([2, 3, 4, 9, 9, 9])).changes
    assert (found.before_ms, found.after_ms) == (3.5, 6.5)
