"""Which rule suits these parts: tried on synthetic defects of held-out good pictures.

`calibrate --select`, after cross-fitting. Every candidate scores copies with a defect each (marks
pasted on, and structure disturbed) and the untouched pictures, each by constants of the folds that
saw neither; the AUROC between the two ranks the candidates. Severity is everything (with defects
faint against the texture every rule sits near 0.5), so it rises until the best candidate reaches
0.75. Its level promises nothing about real defects; a candidate within one standard error of the
default does not replace it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.calibration.candidates import Candidate
from edgeinspect.calibration.crossfit import CrossFit, map_statistics
from edgeinspect.calibration.good_maps import BATCH, GoodMaps
from edgeinspect.config import Normalisation, PreprocessConfig, ScoringConfig
from edgeinspect.constants import one_hot
from edgeinspect.data.loading import load_tiles
from edgeinspect.data.splits import spread_places
from edgeinspect.data.synthetic.disturbing import harm_part
from edgeinspect.data.tiling import cut_tiles
from edgeinspect.progress import OnProgress
from edgeinspect.runtime.session import MapSession

__all__ = ["Selection", "Selector", "Trial", "choose_trial", "compare_auroc", "select_candidate"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

TARGET_AUROC = 0.75
SEVERITIES = (0.05, 0.15, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
MAX_PASTED = 64  # pictures; more cost time and hardly sharpen the ranking

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How one candidate did: AUROC, and its lead over the default with its standard error."""

    candidate: Candidate
    auroc: float
    lead: float
    lead_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was chosen, why, and what was tried (the default first)."""

    chosen: Candidate
    reason: str
    severity: float
    n_pasted: int
    n_untouched: int
    trials: tuple[Trial, ...]

    def plain(self) -> dict[str, Any]:
        """JSON types only, for the bundle."""
        return {
            "chosen": self.chosen.name,
            "reason": self.reason,
            "severity": self.severity,
            "target_auroc": TARGET_AUROC,
            "n_pasted": self.n_pasted,
            "n_untouched": self.n_untouched,
            "tried": [
                {
                    "name": trial.candidate.name,
                    "auroc": trial.auroc,
                    "lead": trial.lead,
                    "lead_standard_error": trial.lead_error,
                }
                for trial in self.trials
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selector:
    """All that trying candidates needs besides the candidates."""

    session: MapSession
    good: GoodMaps
    fits: Mapping[Normalisation, CrossFit]
    preprocess: PreprocessConfig
    scoring: ScoringConfig
    n_scales: int
    seed: int
    on_progress: OnProgress

    def pasted_statistics(self, severity: float) -> tuple[dict[Normalisation, Floats], Ints]:
        """Statistics (M, S) of pictures with a defect each, and each image's picture (M,).

        The same seed gives the same defects at every severity. Images that a defect does not
        touch keep the statistics they had.
        """
        chosen = spread_places(len(self.good), MAX_PASTED)
        rows: dict[Normalisation, list[Floats]] = {how: [] for how in self.fits}
        for done, picture in enumerate(chosen):
            self.on_progress(f"synthetic defects, severity {severity:g}", done, len(chosen))
            for how, statistics in self._one_pasted(int(picture), severity).items():
                rows[how].append(statistics)
        is_chosen = np.isin(self.good.picture_of_tile, chosen)
        joined = {how: np.concatenate(parts) for how, parts in rows.items()}
        return joined, self.good.picture_of_tile[is_chosen]

    def _one_pasted(self, picture: int, severity: float) -> dict[Normalisation, Floats]:
        one = self.good.pictures[picture]
        loaded = load_tiles(one.path, self.preprocess)
        rng = np.random.default_rng([self.seed, picture])
        harmed = harm_part(loaded.picture, rng, severity=severity)
        tiles = cut_tiles(harmed, loaded.grid)
        changed = np.flatnonzero((tiles != loaded.tiles).any(axis=(1, 2, 3))).astype(np.int32)
        own = slice(one.first, one.first + one.grid.n_tiles)
        rows = {how: fit.statistics[own].copy() for how, fit in self.fits.items()}
        for start in range(0, len(changed), BATCH):
            tile = changed[start : start + BATCH]
            maps = self.session.error_maps(tiles[tile])
            for how, fit in self.fits.items():
                constants = fit.fold_constants[fit.fold[picture]]
                rows[how][tile] = map_statistics(maps, constants, tile, self.scoring)
        return rows

    def try_all(self, tried: list[Candidate], severity: float) -> tuple[list[Trial], int]:
        """Every candidate at one severity, the first being the default; and how many pasted."""
        rows, picture = self.pasted_statistics(severity)
        scores = []
        for candidate in tried:
            fit = self.fits[candidate.normalisation]
            weight, rule = candidate.weight(self.scoring, self.n_scales), one_hot(candidate.rule)
            clean = fit.score_parts(weight, rule, self.scoring, self.n_scales)
            pasted = fit.score_others(
                rows[candidate.normalisation], picture, weight, rule, self.scoring, self.n_scales
            )
            scores.append((clean.score, pasted.score))
        trials = []
        for candidate, (clean_scores, pasted_scores) in zip(tried, scores, strict=True):
            auroc, lead, error = compare_auroc(*scores[0], clean_scores, pasted_scores)
            trials.append(Trial(candidate=candidate, auroc=auroc, lead=lead, lead_error=error))
        return trials, len(np.unique(picture))


def select_candidate(selector: Selector, tried: list[Candidate]) -> Selection:
    """Raise the severity until the best candidate reaches 0.75, then choose.

    If none ever does, the default stays: a ranking of guesses says nothing.
    """
    severity, trials, n_pasted = _adapt_severity(selector, tried)
    chosen, reason = choose_trial(trials)
    return Selection(
        chosen=chosen.candidate,
        reason=reason,
        severity=severity,
        n_pasted=n_pasted,
        n_untouched=len(selector.good),
        trials=tuple(trials),
    )


def _adapt_severity(selector: Selector, tried: list[Candidate]) -> tuple[float, list[Trial], int]:
    """The lowest severity at which the best candidate reaches the target, else the highest.

    Found by bisection, since AUROC rises with severity: 3 or 4 of 9 are tried.
    """
    low, high = 0, len(SEVERITIES) - 1
    found = {}
    while low not in found:
        middle = (low + high) // 2
        found[middle] = selector.try_all(tried, SEVERITIES[middle])
        best = _best(found[middle][0])
        _log.debug("severity %g: best AUROC %.3f", SEVERITIES[middle], best.auroc)
        if best.auroc >= TARGET_AUROC:
            high = middle
        else:
            low = min(middle + 1, high)
    return SEVERITIES[low], *found[low]


def _best(trials: list[Trial]) -> Trial:
    return max(trials, key=lambda trial: trial.auroc)


def choose_trial(trials: list[Trial]) -> tuple[Trial, str]:
    """The best trial, or the first (the default) where it is as good; and why."""
    default, best = trials[0], _best(trials)
    if best.auroc < TARGET_AUROC:
        reason = (
            f"the default stays: no candidate reached {TARGET_AUROC:g}, not even with the"
            " strongest defects"
        )
        _log.warning("%s", reason)
        return default, reason
    if best is default:
        return default, "the default was best"
    if best.lead <= best.lead_error:
        return default, "the default stays: nothing was better by more than its standard error"
    return best, f"better than the default by {best.lead:.3f} +- {best.lead_error:.3f}"


def compare_auroc(
    clean_a: Doubles, pasted_a: Doubles, clean_b: Doubles, pasted_b: Doubles
) -> tuple[float, float, float]:
    """AUROC of b, its lead over a, and the lead's standard error (same pictures, two scores).

    DeLong's variance of two correlated areas (Biometrics 44, 1988).
    """
    above_a, above_b = _above(clean_a, pasted_a), _above(clean_b, pasted_b)
    difference = above_b - above_a
    variance = sum(
        float(difference.mean(axis=axis).var()) / max(1, difference.shape[1 - axis] - 1)
        for axis in (0, 1)
    )
    return float(above_b.mean()), float(difference.mean()), variance**0.5


def _above(clean: Doubles, pasted: Doubles) -> Doubles:
    """(pasted, clean): 1 where the pasted picture scores above the clean one, 0.5 at a tie."""
    return np.asarray((pasted[:, None] > clean) + 0.5 * (pasted[:, None] == clean))
