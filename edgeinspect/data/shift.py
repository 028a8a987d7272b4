"""Whether one set of pictures looks unlike another: good test pictures against good training ones.

The two-sample test of Kolmogorov and Smirnov on each trait of `appearance`: the largest gap
between the two cumulative shares, and how often chance makes one as large (Stephens'
approximation, J. R. Stat. Soc. B 32, 1970). The gap has a plain meaning, which the warning tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.appearance import Appearance, Trait

__all__ = ["Gap", "Shift", "chance_of_gap", "find_shifts", "independent_count", "largest_gap"]

LEVEL = 0.001  # how often sets of one population may be called different, for each trait
SMALLEST_GAP = 0.25  # of thousands of pictures even a gap without consequence is sure
N_TERMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A trait in which two sets differ, and where they differ most."""

    trait: Trait
    gap: Gap


def find_shifts(tested: Sequence[Appearance], reference: Sequence[Appearance]) -> list[Shift]:
    """The traits in which `tested` surely differs from `reference`, the largest gap first."""
    if not tested or not reference:
        return []
    shifts = [
        Shift(trait=trait, gap=largest_gap(trait.of(tested), trait.of(reference)))
        for trait in Trait
    ]
    sure = [
        shift
        for shift in shifts
        if shift.gap.size >= SMALLEST_GAP
        and chance_of_gap(shift.gap.size, len(tested), len(reference)) < LEVEL
    ]
    return sorted(sure, key=lambda shift: -shift.gap.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Where two samples differ most: `share` of the tested values lie on one side of `limit`.

    Below it if `is_lower`; of the reference it is `reference_share`, never more.
    """

    limit: float
    is_lower: bool
    share: float
    reference_share: float

    @property
    def size(self) -> float:
        return self.share - self.reference_share

    @property
    def side(self) -> str:
        """Where the tested values lie more often, "below" or "above" the limit."""
        return "below" if self.is_lower else "above"


def largest_gap(tested: NDArray[np.float64], reference: NDArray[np.float64]) -> Gap:
    """The largest gap between the cumulative shares of two samples (n,) and (m,)."""
    values = np.unique(np.concatenate([tested, reference]))
    shares, others = (
        np.searchsorted(np.sort(of), values, side="right") / len(of) for of in (tested, reference)
    )
    place = int(np.abs(shares - others).argmax())
    share, other = float(shares[place]), float(others[place])
    is_lower = share >= other
    return Gap(
        limit=float(values[place : place + 2].mean()),  # between the values on its two sides
        is_lower=is_lower,
        share=share if is_lower else 1 - share,
        reference_share=other if is_lower else 1 - other,
    )


def chance_of_gap(gap: float, n: float, m: float) -> float:
    """How often samples of n and m from one population have a gap of at least this."""
    root = math.sqrt(n * m / (n + m))
    x = (root + 0.12 + 0.11 / root) * gap
    if x < 0.2:  # the series needs more terms there, and gives 1
        return 1.0
    terms = [(-1.0) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, N_TERMS)]
    return min(1.0, max(0.0, 2 * sum(terms)))


def independent_count(values: NDArray[np.float64]) -> float:
    """How many independent values say as much about their population as these (n,) in a row.

    n (1 - r) / (1 + r), r the correlation of neighbours where it is above 0 (Bartlett, J. R. Stat.
    Soc. 98, 1935): that of a figure which forgets by the same share from part to part.
    """
    centred = values - values.mean()
    energy = float(centred @ centred)
    r = max(0.0, float(centred[1:] @ centred[:-1]) / energy) if energy > 0 else 0.0
    return len(values) * (1 - r) / (1 + r)
