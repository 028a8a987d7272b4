"""Two reports of one box: what got slower beyond noise. For a user's CI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from edgeinspect.bench.latency import Ratio, unpaired_ratio
from edgeinspect.errors import ConfigError

__all__ = ["NOISE", "SAME_BOX", "Change", "Comparison", "compare_reports", "hardware_differences"]

NOISE = 1.05  # times below this ratio differ by what any run differs (facts of many runs)
SAME_BOX = ("cpu", "n_cores", "gpu", "jetson")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A variant in both reports; `ratio` is the newer time : the older, above 1 it is slower."""

    name: str
    before_ms: float
    after_ms: float
    ratio: Ratio

    @property
    def is_slower(self) -> bool:
        """Beyond noise, and not by chance."""
        return self.ratio.value > NOISE and self.ratio.low > 1

    @property
    def is_faster(self) -> bool:
        return self.ratio.value < 1 / NOISE and self.ratio.high < 1

    @property
    def is_untold(self) -> bool:
        """The interval holds both no change and one that matters."""
        low, high = self.ratio.low, self.ratio.high
        return low <= 1 <= high and (low < 1 / NOISE or high > NOISE)

    @property
    def words(self) -> str:
        if self.is_slower or self.is_faster:
            return "slower" if self.is_slower else "faster"
        return "not told apart" if self.is_untold else "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed, and the variants that only one of the two has."""

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    other_hardware: tuple[str, ...]

    @property
    def slower(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.is_slower)

    @property
    def untold(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.is_untold)


def compare_reports(
    before: Mapping[str, Any], after: Mapping[str, Any], *, allows_other_hardware: bool = False
) -> Comparison:
    """Compare reports as `results.read_report` gives them, the older first.

    Raises: ConfigError if they are of different hardware, unless that is asked for, or share no
        variant.
    """
    differences = hardware_differences(before["hardware"], after["hardware"])
    if differences and not allows_other_hardware:
        raise ConfigError(
            f"the two reports are of different hardware: {'; '.join(differences)}",
            hint="add --allow-other-hardware to compare them anyway",
        )
    old, new = (_times(report) for report in (before, after))
    changes = tuple(_change(name, old[name], new[name]) for name in old if name in new)
    if not changes:
        names = [", ".join(rows) or "none" for rows in (old, new)]
        raise ConfigError(
            f"the two reports share no variant: {' and '.join(names)}",
            hint="measure the same --runtime and --batch",
        )
    return Comparison(
        changes=changes,
        only_before=tuple(name for name in old if name not in new),
        only_after=tuple(name for name in new if name not in old),
        other_hardware=tuple(differences),
    )


def _times(report: Mapping[str, Any]) -> dict[str, list[float]]:
    """Medians of rounds by variant; threads are part of what a variant is."""
    return {
        row["name"] + _on_threads(row.get("threads")): row["round_ms"] for row in report["variants"]
    }


def _on_threads(n_threads: int | None) -> str:
    if not n_threads:
        return ""
    return f" on {n_threads} thread{'' if n_threads == 1 else 's'}"


def _change(name: str, before: list[float], after: list[float]) -> Change:
    return Change(
        name=name,
        before_ms=median(before),
        after_ms=median(after),
        ratio=unpaired_ratio(after, before),
    )


def hardware_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs of `Hardware`, as plain data, between two boxes; empty if they are alike."""
    pairs = [(key, before.get(key), after.get(key)) for key in SAME_BOX]
    return [
        f"{key.removeprefix('n_')} {old or 'none'} and {new or 'none'}"
        for key, old, new in pairs
        if old != new
    ]
