"""Whether a runtime computes what PyTorch computed: outputs held to budgets.

`export` checks the graph with it before a bundle exists, and a box checks its engine against the
bundle's `golden.npz`, without torch, after every build. The budgets are those of docs/method.md
(parity): differences count in units of what separates good parts from NG.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import Precision
from edgeinspect.constants import Calibration, RuleConstants, to_npz
from edgeinspect.errors import BundleError
from edgeinspect.ties import find_ties, picks_by_mean
from edgeinspect.writing import write_atomically

__all__ = [
    "AUROC_CHANGE",
    "FP16_BUDGET",
    "FP32_BUDGET",
    "Budget",
    "Golden",
    "ImageParity",
    "Outputs",
    "ParityReport",
    "ScoreUnits",
    "budget_of",
    "compare_images",
    "compare_maps",
    "compare_outputs",
]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

MAP_PERCENTILE = 99.9
MAP_FLOOR = 1e-3  # a quarter of a grey level: below it a map is empty
FAR = 10.0  # units; beyond, where noise under features is, rounding grows with the score
LEAST_UNIT = 1e-6
N_NAMED = 3  # images that a problem names, the worst
_SCORES = ("score", "local_score", "global_score")


class Outputs(Protocol):
    """What a scoring graph answers; `runtime.session.Scores` has it, and so has `Golden`."""

    @property
    def score(self) -> Floats: ...

    @property
    def local_score(self) -> Floats: ...

    @property
    def global_score(self) -> Floats: ...

    @property
    def scale(self) -> Ints: ...

    @property
    def anomaly_map(self) -> Floats: ...

    @property
    def statistics(self) -> Floats: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How far a graph may be from PyTorch in FP32.

    Attributes:
        score_error: in units of (threshold - median good score), before calibration 1; of a score
            beyond ten of them, a tenth of the score is the unit.
        map_error: of the map's 99.9th percentile; None where only the correlation counts.
        map_correlation: the least, of each map with PyTorch's.
        tie: two maps count as equally good for `scale` when their peaks differ by less than
            this share; map and scale of such an image are not compared (`ties`).
    """

    score_error: float
    map_error: float | None
    map_correlation: float
    tie: float


FP32_BUDGET = Budget(score_error=1e-4, map_error=1e-3, map_correlation=0.999, tie=1e-4)
FP16_BUDGET = Budget(score_error=1e-2, map_error=None, map_correlation=0.999, tie=1e-2)
AUROC_CHANGE = 0.002  # the most, on labelled pictures


def budget_of(precision: Precision) -> Budget:
    """The budget of a graph or engine of that precision."""
    return FP32_BUDGET if precision is Precision.FP32 else FP16_BUDGET


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreUnits:
    """What a difference of each score counts in: 1 before calibration, then what separates good
    parts from NG, (threshold - median good score).

    The scores that the verdict does not use have no threshold; theirs is taken at the same rate.
    """

    score: float = 1.0
    local_score: float = 1.0
    global_score: float = 1.0

    @classmethod
    def of(cls, calibration: Calibration) -> ScoreUnits:
        """The units under a calibration."""
        rate = calibration.threshold.false_reject_rate
        local, whole = (
            float(np.quantile(scores, 1 - rate) - np.median(scores))
            for scores in (calibration.good_local, calibration.good_global)
        )
        score = calibration.threshold.value - float(np.median(calibration.good_scores))
        return cls(score=score, local_score=local, global_score=whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageParity:
    """How far one image's outputs are from PyTorch's.

    Attributes:
        is_tie: two maps were equally good and the other was picked: map and scale do not count,
            nor the score under the rule `paper`, which is that of the map.
        has_other_scale: the map was taken from another scale.
    """

    name: str
    is_tie: bool
    score_error: float
    map_error: float
    map_correlation: float
    has_other_scale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """The largest differences over all images, and the sentences about those beyond the budget.

    `n_ties` images had two maps equally good, and the other was picked: map and scale do not count.
    """

    n_images: int
    n_ties: int
    score_error: float
    map_error: float
    map_correlation: float
    n_scale_changes: int
    problems: tuple[str, ...]

    @classmethod
    def of(cls, images: Sequence[ImageParity], budget: Budget) -> ParityReport:
        """Sum up images, at least one."""
        report = cls(
            n_images=len(images),
            n_ties=sum(i.is_tie for i in images),
            score_error=max(i.score_error for i in images),
            map_error=max(i.map_error for i in images),
            map_correlation=min(i.map_correlation for i in images),
            n_scale_changes=sum(i.has_other_scale for i in images),
            problems=(),
        )
        return dataclasses.replace(report, problems=_problems(report, images, budget))

    @property
    def is_within(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden:
    """A few images, the constants used, and what PyTorch in FP32 said about them.

    Attributes:
        images: (B, H, W, 3) uint8 RGB. tile: (B,) int32.
        names: (B) where each image comes from, for people.
        n_placed: how many measures, the first ones, have maps that say where (`ScoringConfig`).
        score, ...: as `runtime.session.Scores`.
    """

    images: NDArray[np.uint8]
    tile: Ints
    names: tuple[str, ...]
    n_placed: int
    constants: RuleConstants
    score: Floats
    local_score: Floats
    global_score: Floats
    scale: Ints
    anomaly_map: Floats
    statistics: Floats

    def save(self, path: Path) -> None:
        """Write one .npz, whole or not at all. Raises: OutputError."""
        arrays = {
            field.name: np.asarray(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name not in ("constants", "names")
        }
        constants = {f"constants.{k}": v for k, v in self.constants.as_inputs().items()}
        names = np.array(self.names, dtype=np.str_)
        write_atomically(path, to_npz({"names": names, **arrays, **constants}))

    @classmethod
    def load(cls, path: Path) -> Golden:
        """Read what `save` wrote. Raises: BundleError if it is not there or damaged."""
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            prefix = "constants."
            given = {k: v for k, v in arrays.items() if k.startswith(prefix)}
            constants = RuleConstants(**{k.removeprefix(prefix): v for k, v in given.items()})
            names = tuple(str(name) for name in arrays["names"])
            rest = {k: v for k, v in arrays.items() if k not in given and k != "names"}
            n_placed = int(rest.pop("n_placed", constants.map_mean.shape[1]))
            return cls(constants=constants, names=names, n_placed=n_placed, **rest)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise BundleError(
                f"{path} cannot be read as golden outputs", hint="copy the bundle again"
            ) from error


def compare_outputs(
    expected: Outputs,
    actual: Outputs,
    constants: RuleConstants,
    budget: Budget,
    *,
    n_placed: int,
    names: Sequence[str] | None = None,
) -> ParityReport:
    """Hold a runtime's outputs before calibration to PyTorch's. See `compare_images`."""
    images = compare_images(expected, actual, constants, budget, n_placed=n_placed, names=names)
    return ParityReport.of(images, budget)


def compare_images(
    expected: Outputs,
    actual: Outputs,
    constants: RuleConstants,
    budget: Budget,
    *,
    n_placed: int,
    mean_index: int = 0,
    units: ScoreUnits | None = None,
    names: Sequence[str] | None = None,
) -> list[ImageParity]:
    """Compare outputs image by image, under the constants that both used.

    Args:
        n_placed: how many measures, the first ones, have maps to pick from (`ScoringConfig`).
        mean_index: which of a map's statistics is the mean (`ScoringConfig`); the rule `paper`
            picks by it.
        units: of the scores under those constants; None before calibration.
        names: of the images, for people; default their numbers.
    """
    unit_of = dataclasses.asdict(units or ScoreUnits())
    errors = {
        n: _score_errors(getattr(expected, n), getattr(actual, n), unit_of[n]) for n in _SCORES
    }
    map_errors, correlations = _compare_maps(expected.anomaly_map, actual.anomaly_map)
    is_alike = (correlations >= budget.map_correlation) & (expected.scale == actual.scale)
    if budget.map_error is not None:
        is_alike &= map_errors <= budget.map_error
    is_tie = ~is_alike & find_ties(
        expected.statistics, constants, budget.tie, n_placed=n_placed, mean_index=mean_index
    )
    if picks_by_mean(constants):  # the score is that of the map
        errors["score"][is_tie & np.isfinite(actual.score)] = 0
    score_errors = np.max(list(errors.values()), axis=0)
    return [
        ImageParity(
            name=f"image {i + 1}" if names is None else names[i],
            is_tie=bool(is_tie[i]),
            score_error=float(score_errors[i]),
            map_error=0.0 if is_tie[i] else float(map_errors[i]),
            map_correlation=1.0 if is_tie[i] else float(correlations[i]),
            has_other_scale=bool(not is_tie[i] and expected.scale[i] != actual.scale[i]),
        )
        for i in range(len(is_tie))
    ]


def compare_maps(
    expected: Floats, actual: Floats, budget: Budget, *, names: Sequence[str] | None = None
) -> ParityReport:
    """Hold maps alone to PyTorch's, such as error maps: (B, ..., H, W) each."""
    flat = (-1, *expected.shape[-2:])
    errors, correlations = (
        array.reshape(len(expected), -1)
        for array in _compare_maps(expected.reshape(flat), actual.reshape(flat))
    )
    images = [
        ImageParity(
            name=f"image {i + 1}" if names is None else names[i],
            is_tie=False,
            score_error=0.0,
            map_error=float(errors[i].max()),
            map_correlation=float(correlations[i].min()),
            has_other_scale=False,
        )
        for i in range(len(expected))
    ]
    return ParityReport.of(images, budget)


def _problems(
    report: ParityReport, images: Sequence[ImageParity], budget: Budget
) -> tuple[str, ...]:
    """What is beyond the budget; a difference that is no number is beyond every budget."""
    limit, least = budget.map_error, budget.map_correlation
    far = [i for i in images if not i.score_error <= budget.score_error]
    unlike = [i for i in images if limit is not None and not i.map_error <= limit]
    loose = [i for i in images if not i.map_correlation >= least]
    moved = [i for i in images if i.has_other_scale]
    far.sort(key=lambda i: -i.score_error)
    unlike.sort(key=lambda i: -i.map_error)
    loose.sort(key=lambda i: i.map_correlation)
    sentences = (
        (far, f"scores differ by {report.score_error:.2g} of {budget.score_error:g}"),
        (unlike, f"maps differ by {report.map_error:.2g} of {limit}"),
        (loose, f"maps correlate by {report.map_correlation:.5f}, not {least:g}"),
        (moved, f"{len(moved)} of {len(images)} images change their scale"),
    )
    return tuple(f"{words} ({_named(found)})" for found, words in sentences if found)


def _named(images: Sequence[ImageParity]) -> str:
    rest = len(images) - N_NAMED
    return ", ".join([i.name for i in images[:N_NAMED]] + ([f"{rest} more"] if rest > 0 else []))


def _score_errors(expected: Floats, actual: Floats, unit: float) -> NDArray[np.float64]:
    """Differences of scores (B,) in units; infinite where either is not finite."""
    left, right = expected.astype(np.float64), actual.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.abs(left - right) / np.maximum(max(unit, LEAST_UNIT), np.abs(left) / FAR)
    return np.where(np.isfinite(difference), difference, np.inf)


def _compare_maps(expected: Floats, actual: Floats) -> tuple[NDArray[np.float64], ...]:
    """Errors and correlations (n,) of maps (n, H, W), worst case where a map is not finite."""
    left, right = (m.reshape(len(m), -1).astype(np.float64) for m in (expected, actual))
    is_finite = (~np.isfinite([left, right])).sum(axis=(0, 2)) == 0
    left, right = (np.where(is_finite[:, None], m, 0) for m in (left, right))
    size = np.percentile(np.abs(left), MAP_PERCENTILE, axis=1)
    errors = np.abs(left - right).max(axis=1) / np.maximum(size, MAP_FLOOR)
    correlations = np.array([_correlation(a, b) for a, b in zip(left, right, strict=True)])
    return np.where(is_finite, errors, np.inf), np.where(is_finite, correlations, -1.0)


def _correlation(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Pearson's, and 1 for two maps that are as good as constant."""
    left, right = left - left.mean(), right - right.mean()
    if max(np.abs(left).max(), np.abs(right).max()) < MAP_FLOOR:
        return 1.0
    sizes = float(np.sqrt((left * left).sum() * (right * right).sum()))
    return float((left * right).sum()) / sizes if sizes else 0.0
