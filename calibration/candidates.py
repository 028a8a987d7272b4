"""Which rule, measures and normalisation a calibration may use, and the default among them.

Between cross-fitted statistics and the choice of `selection`. The default is `peak` over all
measures with max and top 0.1 %, after `block` or `pixel` normalisation, whichever held-out good
pictures prefer (`prefer_normalisation`).
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeinspect.calibration.crossfit import CrossFit, largest_of_parts
from edgeinspect.config import Measure, Normalisation, Rule, ScoringConfig, Statistic

__all__ = [
    "Candidate",
    "candidates",
    "default_candidate",
    "prefer_normalisation",
    "visible_increment",
]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_PEAKED = (Statistic.MAX, Statistic.TOP_01_PERCENT)  # small defects vanish in wider means
_MOST_PEAKED_FIRST = (*_PEAKED, Statistic.TOP_1_PERCENT, Statistic.MEAN)
GOOD_SHARE = 0.9  # of good parts that must stay below what stands out
MARGIN = 0.05  # by which `pixel` must be better: it costs a map per tile position


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A rule, and the measures and statistics that it reads, after one normalisation.

    `peak` reads more than the largest errors: of features every statistic, for they see marks of
    any size, and of pixels the mean both ways, for a part that is darker and flatter than good
    ones is *easier* to reconstruct everywhere (docs/decisions/0016).
    """

    rule: Rule
    measures: tuple[Measure, ...]
    statistics: tuple[Statistic, ...]
    normalisation: Normalisation

    @property
    def name(self) -> str:
        """In words for people, such as "peak of l1, ssim (max, mean both ways), block"."""
        if self.rule is Rule.MAHALANOBIS:
            return f"mahalanobis of every statistic, {self.normalisation.value}"
        groups = itertools.groupby(self.measures, key=self._statistics_of)
        read = (f"{', '.join(m.value for m in group)} ({words})" for words, group in groups)
        return f"{self.rule.value} of {', '.join(read)}, {self.normalisation.value}"

    def _statistics_of(self, measure: Measure) -> str:
        """What `weight` selects of a measure, in words."""
        if self.rule is Rule.PAPER:
            return ", ".join(statistic.value for statistic in self.statistics)
        if measure.is_of_features:
            return "all"
        upwards = [s.value for s in self.statistics if s is not Statistic.MEAN]
        return ", ".join([*upwards, "mean both ways"])

    def weight(self, scoring: ScoringConfig, n_scales: int) -> Floats:
        """`stat_weight` (S,): 1 where a statistic is read, -1 where both ways, else 0."""
        weight = np.zeros((len(scoring.measures), n_scales, len(scoring.statistics)), np.float32)
        for k in map(scoring.measures.index, self.measures):
            weight[k, :, [scoring.statistics.index(s) for s in self.statistics]] = 1
            if self.rule is Rule.PAPER:
                continue
            if scoring.measures[k].is_of_features:
                weight[k] = 1
            else:
                weight[k, :, scoring.statistics.index(Statistic.MEAN)] = -1
        return weight.ravel()


def default_candidate(
    rule: Rule, normalisation: Normalisation, scoring: ScoringConfig
) -> Candidate:
    """What a rule reads unless something was selected.

    The paper's rule reads the largest error of the first measure, un-normalised. Under
    `mahalanobis` the statistics chosen are those of the local score; the distance uses all.
    """
    if rule is Rule.PAPER:
        return Candidate(
            rule=rule,
            measures=scoring.measures[:1],
            statistics=(_most_peaked(scoring),),
            normalisation=Normalisation.NONE,
        )
    peaked = tuple(s for s in _PEAKED if s in scoring.statistics) or (_most_peaked(scoring),)
    return Candidate(
        rule=rule, measures=scoring.measures, statistics=peaked, normalisation=normalisation
    )


def _most_peaked(scoring: ScoringConfig) -> Statistic:
    return next(s for s in _MOST_PEAKED_FIRST if s in scoring.statistics)


def candidates(
    default: Candidate, scoring: ScoringConfig, allowed: tuple[Normalisation, ...]
) -> list[Candidate]:
    """The short list that `--select` tries, the default first (a long one adds noise).

    Peak of all measures, and of each that says where alone, under every normalisation of maps that
    is allowed; the distance of all statistics; the paper's rule with the largest error and with
    the mean.
    """
    found = [default]
    maps: list[Normalisation] = [how for how in allowed if how is not Normalisation.NONE]
    for how in maps or [default.normalisation]:
        peak = default_candidate(Rule.PEAK, how, scoring)
        found.append(peak)
        alone = (measure for measure in scoring.measures if measure.has_places)
        found += [dataclasses.replace(peak, measures=(measure,)) for measure in alone]
    found.append(default_candidate(Rule.MAHALANOBIS, default.normalisation, scoring))
    if Normalisation.NONE in allowed:
        paper = default_candidate(Rule.PAPER, Normalisation.NONE, scoring)
        found += [paper, dataclasses.replace(paper, statistics=(Statistic.MEAN,))]
    return list(dict.fromkeys(found))


def prefer_normalisation(block: CrossFit, pixel: CrossFit, scoring: ScoringConfig) -> Normalisation:
    """`block` or `pixel`, by good pictures alone: under which a smaller defect stands out.

    `visible_increment` is compared map by map (measure and scale); `pixel` must be better by 5 %
    in the geometric mean. Aligned structure makes it so: its few high errors then raise the
    threshold where they are, not everywhere. On unaligned parts both are alike, and `pixel`
    pays for its rougher estimates.
    """
    ratio = visible_increment(pixel, scoring) / visible_increment(block, scoring)
    ratio = ratio[: scoring.n_placed]  # wholes have one value a tile, whatever the place
    is_better = float(np.log(ratio).mean()) < -MARGIN
    return Normalisation.PIXEL if is_better else Normalisation.BLOCK


def visible_increment(fit: CrossFit, scoring: ScoringConfig) -> Doubles:
    """The rise of the raw error, mean over positions, that stands out from good parts, (K, I).

    t * mean spread, where t is what the largest normalised error of 90 % of held-out good parts
    stays below: an error of mean + t * spread stands out. In units of each measure.
    """
    constants = fit.fold_constants
    spread = np.mean(
        [(1 / c.map_inv_std.astype(float)).mean(axis=(0, 3, 4)) for c in constants], axis=0
    )
    shape = (len(scoring.measures), -1, len(scoring.statistics))
    peak = fit.statistics.reshape(len(fit.statistics), *shape)
    peak = peak[..., scoring.statistics.index(_most_peaked(scoring))]
    parts = largest_of_parts(peak, fit.picture)  # (n, K, I)
    level = np.quantile(parts, GOOD_SHARE, axis=0)
    return np.asarray(np.maximum(level, 1e-3) * spread)
