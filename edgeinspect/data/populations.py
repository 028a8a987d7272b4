"""Whether good pictures are one population or fall into two groups: lots, exposures, lights.

Silverman's test (J. R. Stat. Soc. B 43, 1981) on each trait of `appearance`. The density of the
trait is drawn with Gaussian kernels; the critical width is the largest at which it has a valley
between two groups. Resamples of the density of that width, which has hardly a valley, say how
often one population would show one: rarely, if the groups are real. It needs no form of the
groups, and a long tail is none: normal, skewed and heavy-tailed samples pass. Of few pictures it
is not sure of groups that anybody sees; such as lie further apart than either is wide need no test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.data.appearance import Appearance, Trait

__all__ = ["Populations", "find_populations"]

Doubles = NDArray[np.float64]

LEVEL = 0.01  # how often one population may be called two, for each trait
SMALLEST_SHARE, FEWEST = 0.05, 5  # a group is at least this; less are outliers
FEWEST_PICTURES = 20  # below, no valley is sure
N_RESAMPLES = 500
N_BINS, MARGIN = 256, 3.0  # of the density; MARGIN and WIDTHS in spreads of the sample
WIDTHS = np.geomspace(1.0, 0.05, 40)
N_EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Populations:
    """Two groups of pictures: below and above `limit`, a value of `trait`.

    `lower`, `upper` are their places in the list, each from its most typical picture on.
    """

    trait: Trait
    limit: float
    lower: tuple[int, ...]
    upper: tuple[int, ...]

    def tell(self, names: Sequence[str]) -> str:
        """One sentence with the figures; `names` are those of all pictures."""
        n = len(self.lower) + len(self.upper)
        return (
            f"the {n} good pictures fall into two groups by {self.trait.value}: {len(self.lower)}"
            f" below {self.limit:.4g} (such as {_examples(self.lower, names)}), {len(self.upper)}"
            f" above (such as {_examples(self.upper, names)})"
        )


def _examples(places: Sequence[int], names: Sequence[str]) -> str:
    return ", ".join(names[place] for place in places[:N_EXAMPLES])


def find_populations(appearances: Sequence[Appearance]) -> Populations | None:
    """The clearest two groups among pictures, or None if there is no sure sign of any."""
    found = [_split(trait, trait.of(appearances)) for trait in Trait]
    splits = [split for split in found if split is not None]
    return max(splits, key=lambda split: split[0])[1] if splits else None


def _split(trait: Trait, values: Doubles) -> tuple[float, Populations] | None:
    """(critical width, groups) by one trait; the width is larger for clearer groups."""
    if len(values) < FEWEST_PICTURES or values.std() <= 1e-6 * np.abs(values).max():
        return None
    scaled = (values - values.mean()) / values.std()
    grid = np.linspace(scaled.min() - MARGIN, scaled.max() + MARGIN, N_BINS)
    counts = _count(scaled[None], grid)
    for width in WIDTHS:
        place = int(_valleys(counts, grid, width)[0])
        if place >= 0:
            break
    else:
        return None
    limit = _middle_of_gap(values)
    if limit is None:
        if _chance(scaled, grid, width) >= LEVEL:
            return None
        limit = float(values.mean() + grid[place] * values.std())
    lower, upper = (_typical_first(values, of) for of in (values < limit, values >= limit))
    return float(width), Populations(trait=trait, limit=limit, lower=lower, upper=upper)


def _middle_of_gap(values: Doubles) -> float | None:
    """Between two groups that lie further apart than either is wide; None if there are none."""
    ordered = np.sort(values)
    lower, upper = ordered[:-1], ordered[1:]  # the ends of each gap between neighbours
    n_below, n = np.arange(1, len(values)), len(values)
    fewest = _fewest(n)
    is_wide = upper - lower > np.maximum(lower - ordered[0], ordered[-1] - upper)
    places = np.flatnonzero(is_wide & (n_below >= fewest) & (n - n_below >= fewest))
    return float(lower[places[0]] + upper[places[0]]) / 2 if places.size else None


def _fewest(n: int) -> float:
    """Of n pictures, how many make a group."""
    return max(FEWEST, SMALLEST_SHARE * n)


def _chance(scaled: Doubles, grid: Doubles, width: float) -> float:
    """How often a sample of the density at its critical width has a valley at that width."""
    rng = np.random.default_rng(0)
    shape = (N_RESAMPLES, len(scaled))
    samples = rng.choice(scaled, shape) + width * rng.standard_normal(shape)
    samples /= np.sqrt(1 + width**2)  # the spread of the sample itself
    n_hits = int((_valleys(_count(samples, grid), grid, width) >= 0).sum())
    return (n_hits + 1) / (N_RESAMPLES + 1)


def _count(samples: Doubles, grid: Doubles) -> Doubles:
    """(m, n) values to (m, N_BINS) counts at the nearest points of the grid."""
    bins = np.rint((samples - grid[0]) / (grid[1] - grid[0])).astype(np.int64)
    bins = bins.clip(0, N_BINS - 1) + N_BINS * np.arange(len(samples))[:, None]
    counts = np.bincount(bins.ravel(), minlength=N_BINS * len(samples))
    return counts.reshape(len(samples), N_BINS).astype(np.float64)


def _valleys(counts: Doubles, grid: Doubles, width: float) -> NDArray[np.int64]:
    """(m,) where each density is lowest between two groups; -1 where it has no valley."""
    density = counts @ np.exp(-0.5 * ((grid[:, None] - grid[None, :]) / width) ** 2)
    n = counts.sum(axis=1, keepdims=True)
    below = counts.cumsum(axis=1)[:, 1:-1]
    fewest = _fewest(int(n[0, 0]))
    inner = density[:, 1:-1]
    is_valley = (inner < density[:, :-2]) & (inner <= density[:, 2:])
    is_valley &= (below >= fewest) & (n - below >= fewest)
    lowest = np.where(is_valley, inner, np.inf).argmin(axis=1) + 1
    return np.where(is_valley.any(axis=1), lowest, -1)


def _typical_first(values: Doubles, chosen: NDArray[np.bool_]) -> tuple[int, ...]:
    """Places of the chosen values, those nearest their median first."""
    places = np.flatnonzero(chosen)
    distance = np.abs(values[places] - np.median(values[places]))
    return tuple(int(place) for place in places[distance.argsort(kind="stable")])
