"""From measured times to a choice."""

from __future__ import annotations

import numpy as np
import pytest

from edgeinspect.bench.candidates import AS_IS, Candidate, Demand, judge, on_front, pick
from edgeinspect.bench.variants import VariantKey
from edgeinspect.config import Precision
from edgeinspect.errors import ConfigError

DEMAND = Demand(deadline_ms=50)


def candidate(
    ms: float,
    *,
    auroc: float | None = None,
    batch: int = 1,
    threads: int | None = None,
    change: str = AS_IS,
    **asked: float,
) -> Candidate:
    key = VariantKey(runtime="onnxruntime", precision=Precision.FP32, batch=batch, threads=threads)
    demand = Demand(deadline_ms=50, **asked)
    times = np.full(40, ms)
    return judge(key, change, times, n_parts=batch, auroc=auroc, demand=demand)


def test_the_choice_finds_most_of_those_in_time() -> None:
    best_but_late = candidate(80, auroc=0.99)
    good, fast = candidate(40, auroc=0.95), candidate(10, auroc=0.90)
    assert pick([best_but_late, good, fast], DEMAND) is good


def test_of_those_that_find_the_same_the_fastest_line_is_chosen() -> None:
    slow, fast = candidate(40, auroc=0.951), candidate(10, auroc=0.950)
    assert pick([slow, fast], DEMAND) is fast
    assert pick([candidate(40), candidate(10)], DEMAND).end_to_end.p50_ms == 10


def test_nothing_in_time_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no setting meets 50 ms; the nearest is .* p99 60 ms"):
        pick([candidate(80), candidate(60)], DEMAND)


def test_a_time_of_seconds_is_written_without_a_power_of_ten() -> None:
    with pytest.raises(ConfigError, match=r" p99 1890 ms"):
        pick([candidate(1890)], DEMAND)


def test_no_rate_high_enough_names_the_setting_with_the_highest() -> None:
    alone, in_eights = candidate(10), candidate(20, batch=8)
    assert in_eights.parts_per_minute > alone.parts_per_minute
    with pytest.raises(ConfigError, match=r"at 90000 parts a minute; the nearest is .* batch 8 "):
        pick(
            [candidate(10, parts_per_minute=9e4), candidate(20, batch=8, parts_per_minute=9e4)],
            Demand(deadline_ms=50, parts_per_minute=9e4),
        )


def test_a_rate_that_cannot_be_kept_is_not_met() -> None:
    assert candidate(40, parts_per_minute=1000).meets
    assert not candidate(40, parts_per_minute=1600).meets
    assert candidate(40).parts_per_minute < 1500


def test_the_front_has_nothing_that_another_beats_in_both() -> None:
    fast, good = candidate(10, auroc=0.90), candidate(40, auroc=0.95)
    beaten = candidate(45, auroc=0.93)
    assert on_front([good, beaten, fast]) == [fast, good]


def test_names_tell_what_was_changed() -> None:
    assert candidate(1).name == "onnxruntime fp32 batch 1"
    assert candidate(1, change="merging 16").name == "onnxruntime fp32 batch 1, merging 16"
    assert candidate(1, threads=2).name == "onnxruntime fp32 batch 1 on 2 threads"
    assert candidate(1).plain()["precision"] == "fp32"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"deadline_ms": 0}, "deadline is 0 ms"),
        ({"deadline_ms": float("inf")}, "the deadline is inf"),
        ({"deadline_ms": 5, "parts_per_minute": -1}, "parts a minute are -1"),
        ({"deadline_ms": 5, "parts_per_minute": float("nan")}, "parts a minute are nan"),
        (
            {"deadline_ms": 5, "miss_probability": 1},
            "miss probability is 1: it must be above 0 and below 1",
        ),
    ],
)
def test_demands_that_cannot_be_are_refused(asked: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Demand(**asked)
