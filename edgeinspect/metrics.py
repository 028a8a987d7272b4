"""How well scores tell defects from good parts: image and pixel metrics in plain NumPy.

Used after scoring, by evaluation, selection and the demo. Scores are numbers where higher means
more defective; labels are booleans, true for a defect. A metric that the data cannot define
(one class only, nothing rejected) is `None`, never 0 and never NaN.

Sources: AUROC as the Mann-Whitney statistic with ties at one half (Hanley and McNeil 1982);
AUPRO from Bergmann et al., arXiv 1911.02357 (per-region overlap, 8-connected regions, area up
to a false-positive rate of 0.3, divided by it); percentile bootstrap (Efron 1979).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DecisionMetrics",
    "PixelTally",
    "Ranking",
    "auroc",
    "average_precision",
    "bootstrap_intervals",
    "decision_metrics",
    "f1_max",
    "rank",
    "roc_curve",
]

FloatArray = NDArray[np.float64]

FPR_LIMIT = 0.3  # of AUPRO, as published figures use it
CONFIDENCE = 0.95
BOOTSTRAP_CELLS = 2_000_000  # resamples times scores held at once: 16 MB an array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """Hits and false alarms at every distinct score, strictest cut first.

    `thresholds` (m,) falls; at entry k everything with a score >= thresholds[k] counts as NG.
    `true_positives`, `false_positives` (..., m) are (weighted) counts up to there; the leading
    axes are those of the weights.
    """

    thresholds: FloatArray
    true_positives: FloatArray
    false_positives: FloatArray

    @property
    def n_defects(self) -> FloatArray:
        return np.asarray(self.true_positives[..., -1])

    @property
    def n_good(self) -> FloatArray:
        return np.asarray(self.false_positives[..., -1])


def rank(scores: ArrayLike, is_defect: ArrayLike, weights: ArrayLike | None = None) -> Ranking:
    """Sort scores once, with equal ones joined, and count both kinds down from the top.

    Args:
        scores: (n,) finite, n >= 1.
        is_defect: (n,) booleans.
        weights: (..., n) how often each score counts; default once.
    Raises: ValueError for empty, unequal or non-finite input: the caller's bug.
    """
    values, defect = _checked(scores, is_defect)
    order = np.argsort(-values, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(values[order])), values.size - 1)
    counts = np.ones(values.size) if weights is None else np.asarray(weights, dtype=np.float64)
    counts, hits = counts[..., order], defect[order].astype(np.float64)
    return Ranking(
        thresholds=values[order][last_of_ties],
        true_positives=np.cumsum(counts * hits, axis=-1)[..., last_of_ties],
        false_positives=np.cumsum(counts * (1 - hits), axis=-1)[..., last_of_ties],
    )


def auroc(scores: ArrayLike, is_defect: ArrayLike) -> float | None:
    """Chance that a defect scores above a good part, ties one half; None with one class only."""
    return _auroc(rank(scores, is_defect)) if _has_both(is_defect) else None


def average_precision(scores: ArrayLike, is_defect: ArrayLike) -> float | None:
    """Precision averaged over the recall steps, without interpolation; None with one class only."""
    return _average_precision(rank(scores, is_defect)) if _has_both(is_defect) else None


def f1_max(scores: ArrayLike, is_defect: ArrayLike) -> float | None:
    """The best F1 that any threshold reaches on these very scores; None with one class only.

    Optimistic, since the threshold is chosen on what it is tested on.
    """
    return _f1_max(rank(scores, is_defect)) if _has_both(is_defect) else None


def roc_curve(scores: ArrayLike, is_defect: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """False- and true-positive rates (m + 1,) from (0, 0) to (1, 1).

    Raises: ValueError with one class only, where no curve exists.
    """
    if not _has_both(is_defect):
        raise ValueError("a ROC curve needs good parts and defects")
    ranking = rank(scores, is_defect)
    fpr = np.append(0.0, ranking.false_positives / ranking.n_good)
    tpr = np.append(0.0, ranking.true_positives / ranking.n_defects)
    return fpr, tpr


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMetrics:
    """What one threshold does; NG is a score above it.

    `f1` and `recall` are None without defects, `false_reject_rate` (good parts judged NG)
    without good parts, `precision` when nothing was judged NG.
    """

    f1: float | None
    precision: float | None
    recall: float | None
    false_reject_rate: float | None


def decision_metrics(scores: ArrayLike, is_defect: ArrayLike, threshold: float) -> DecisionMetrics:
    """F1, precision, recall and false-reject rate of the verdict `score > threshold`."""
    values, defect = _checked(scores, is_defect)
    counts = _decide(values, defect, np.ones(values.size), threshold)
    return DecisionMetrics(**{name: _number(value) for name, value in counts.items()})


def bootstrap_intervals(
    scores: ArrayLike,
    is_defect: ArrayLike,
    *,
    rng: np.random.Generator,
    strata: ArrayLike | None = None,
    threshold: float | None = None,
    n_resamples: int = 1000,
) -> dict[str, tuple[float, float] | None]:
    """95 % percentile intervals of every image metric, resampled within each class.

    Args:
        scores, is_defect: (n,) as for `rank`.
        strata: (n,) class names, each resampled to its own size; default good and defect.
        threshold: adds the decision metrics at it (`f1_at_threshold` and so on).
    Returns: metric name -> (low, high); None where the metric is undefined. An interval of a
        perfect ranking has no width: resampling cannot make errors that were not seen.
    """
    values, defect = _checked(scores, is_defect)
    groups = defect if strata is None else np.asarray(strata)
    chunk = max(1, BOOTSTRAP_CELLS // values.size)
    draws: dict[str, list[FloatArray]] = {}
    for start in range(0, n_resamples, chunk):
        weights = _resample(groups, min(chunk, n_resamples - start), rng)
        for name, drawn in _image_metrics(values, defect, weights, threshold).items():
            draws.setdefault(name, []).append(drawn)
    return {name: _interval(np.concatenate(parts)) for name, parts in draws.items()}


def _image_metrics(
    values: FloatArray, defect: NDArray[np.bool_], weights: FloatArray, threshold: float | None
) -> dict[str, FloatArray]:
    """Metric name -> one value a row of `weights` (R, n); NaN where undefined."""
    results: dict[str, FloatArray] = {}
    if _has_both(defect):
        ranking = rank(values, defect, weights)
        results["auroc"] = np.atleast_1d(_auroc(ranking))
        results["average_precision"] = np.atleast_1d(_average_precision(ranking))
        results["f1_max"] = np.atleast_1d(_f1_max(ranking))
    else:
        results |= dict.fromkeys(("auroc", "average_precision", "f1_max"), np.array([np.nan]))
    if threshold is not None:
        decided = _decide(values, defect, weights, threshold)
        rate = decided.pop("false_reject_rate")
        results |= {f"{name}_at_threshold": value for name, value in decided.items()}
        results["false_reject_rate"] = rate
    return results


def _resample(groups: NDArray[Any], n_resamples: int, rng: np.random.Generator) -> FloatArray:
    """(R, n) how often each item is drawn when every group is drawn anew to its own size."""
    weights = np.zeros((n_resamples, groups.size))
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        shares = np.full(members.size, 1 / members.size)
        weights[:, members] = rng.multinomial(members.size, shares, size=n_resamples)
    return weights


def _interval(draws: FloatArray) -> tuple[float, float] | None:
    draws = draws[np.isfinite(draws)]
    if not draws.size:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _auroc(ranking: Ranking) -> Any:
    """Area under the ROC by trapezes, which give ties their half."""
    zero = np.zeros((*ranking.true_positives.shape[:-1], 1))
    hits = np.concatenate([zero, ranking.true_positives], axis=-1)
    alarms = np.concatenate([zero, ranking.false_positives], axis=-1)
    area = (np.diff(alarms) * (hits[..., 1:] + hits[..., :-1]) / 2).sum(axis=-1)
    return _plain(area / (ranking.n_good * ranking.n_defects))


def _average_precision(ranking: Ranking) -> Any:
    hits, alarms = ranking.true_positives, ranking.false_positives
    judged = hits + alarms
    precision = np.divide(hits, judged, out=np.zeros_like(hits), where=judged > 0)
    steps = np.diff(hits, axis=-1, prepend=0.0)
    return _plain((precision * steps).sum(axis=-1) / ranking.n_defects)


def _f1_max(ranking: Ranking) -> Any:
    hits, alarms = ranking.true_positives, ranking.false_positives
    return _plain((2 * hits / (hits + alarms + ranking.n_defects[..., None])).max(axis=-1))


def _decide(
    values: FloatArray, defect: NDArray[np.bool_], weights: FloatArray, threshold: float
) -> dict[str, FloatArray]:
    """Weighted decision metrics by name, one a row of `weights` (..., n), NaN if undefined."""
    rejected = values > threshold
    hits = (weights * (rejected & defect)).sum(axis=-1)
    alarms = (weights * (rejected & ~defect)).sum(axis=-1)
    n_defects, n_good = (weights * defect).sum(axis=-1), (weights * ~defect).sum(axis=-1)
    no_f1 = n_defects == 0
    return {
        "f1": np.where(no_f1, np.nan, _ratio(2 * hits, hits + alarms + n_defects)),
        "precision": _ratio(hits, hits + alarms),
        "recall": _ratio(hits, n_defects),
        "false_reject_rate": _ratio(alarms, n_good),
    }


def _ratio(top: ArrayLike, bottom: ArrayLike) -> FloatArray:
    top, bottom = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    undefined = np.full(top.shape, np.nan)
    return np.asarray(np.divide(top, bottom, out=undefined, where=bottom > 0))


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else value


def _number(value: FloatArray) -> float | None:
    return float(value) if np.isfinite(value) else None


def _has_both(is_defect: ArrayLike) -> bool:
    defect = np.asarray(is_defect, dtype=bool)
    return bool(defect.any() and not defect.all())


def _checked(scores: ArrayLike, is_defect: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
    values = np.asarray(scores, dtype=np.float64)
    defect = np.asarray(is_defect, dtype=bool)
    if values.ndim != 1 or values.shape != defect.shape or not values.size:
        raise ValueError(f"scores {values.shape} and labels {defect.shape}: both (n,), n >= 1")
    if not np.isfinite(values).all():
        raise ValueError("scores hold a value that is not finite")
    return values, defect


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelTally:
    """Anomaly-map values of any number of pictures, counted so that they need not be kept.

    A value counts under its first 20 bits as float32 (sign, exponent, 11 of 23 bits of the
    mantissa): values closer than 1/2048 of themselves may become ties, nothing else is lost,
    and memory is bounded by the distinct keys met, whatever the number of pictures.

    `keys` (m,) rise with the value; `good`, `defect` (m,) count pixels; `overlap` (m,) sums,
    over the 8-connected regions of all masks, the share of the region that lies at that key.
    """

    keys: NDArray[np.int32]
    good: FloatArray
    defect: FloatArray
    overlap: FloatArray
    n_regions: int

    @classmethod
    def empty(cls) -> PixelTally:
        """No picture yet: the neutral element of `+`."""
        none = np.zeros(0)
        keys = np.zeros(0, dtype=np.int32)
        return cls(keys=keys, good=none, defect=none, overlap=none, n_regions=0)

    @classmethod
    def of(cls, anomaly_map: ArrayLike, mask: ArrayLike) -> PixelTally:
        """Count one picture.

        Args:
            anomaly_map: (H, W), finite.
            mask: (H, W), true on defect pixels; all false for a good part.
        Raises: ValueError for shapes that differ or values that are not finite.
        """
        values, truth = np.asarray(anomaly_map, dtype=np.float32), np.asarray(mask, dtype=bool)
        if values.shape != truth.shape or values.ndim != 2:
            raise ValueError(f"map {values.shape} and mask {truth.shape}: both (H, W)")
        if not np.isfinite(values).all():
            raise ValueError("the anomaly map holds a value that is not finite")
        keys, place = np.unique(_value_keys(values).ravel(), return_inverse=True)
        share, n_regions = _region_shares(truth)
        return cls(
            keys=keys,
            good=_sum_by(place, ~truth, keys.size),
            defect=_sum_by(place, truth, keys.size),
            overlap=_sum_by(place, share, keys.size),
            n_regions=n_regions,
        )

    def __add__(self, other: PixelTally) -> PixelTally:
        """The tally of both sets of pictures."""
        keys, place = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)

        def join(ours: FloatArray, theirs: FloatArray) -> FloatArray:
            return _sum_by(place, np.concatenate([ours, theirs]), keys.size)

        return PixelTally(
            keys=keys,
            good=join(self.good, other.good),
            defect=join(self.defect, other.defect),
            overlap=join(self.overlap, other.overlap),
            n_regions=self.n_regions + other.n_regions,
        )

    def auroc(self) -> float | None:
        """AUROC over all pixels; None without a defect pixel or without a good one."""
        if not self.defect.sum() or not self.good.sum():
            return None
        ranking = Ranking(
            thresholds=self.keys[::-1].astype(np.float64),
            true_positives=np.cumsum(self.defect[::-1]),
            false_positives=np.cumsum(self.good[::-1]),
        )
        return float(_auroc(ranking))

    def aupro(self, fpr_limit: float = FPR_LIMIT) -> float | None:
        """Mean overlap with each region, averaged over false-positive rates 0 to `fpr_limit`.

        The rate counts the good pixels of all pictures; between two cuts the curve is straight.
        None without a region or without a good pixel.
        """
        if not self.n_regions or not self.good.sum():
            return None
        fpr = np.append(0.0, np.cumsum(self.good[::-1]) / self.good.sum())
        overlap = np.append(0.0, np.cumsum(self.overlap[::-1]) / self.n_regions)
        inside = fpr <= fpr_limit
        at_limit = np.interp(fpr_limit, fpr, overlap)
        x, y = np.append(fpr[inside], fpr_limit), np.append(overlap[inside], at_limit)
        return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / fpr_limit)


def _sum_by(place: NDArray[Any], values: NDArray[Any], n_places: int) -> FloatArray:
    """(n_places,) sums of the values that share a place."""
    return np.asarray(np.bincount(place, weights=values.ravel(), minlength=n_places), np.float64)


def _value_keys(values: NDArray[np.float32]) -> NDArray[np.int32]:
    """Integers in the order of the floats: their leading 20 bits, negative ones reversed."""
    bits = (values + np.float32(0)).view(np.int32)  # adding 0 makes -0 and 0 the same
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    return np.asarray(ordered >> 12, dtype=np.int32)


def _region_shares(mask: NDArray[np.bool_]) -> tuple[FloatArray, int]:
    """(H, W) 1 / area of the region a pixel lies in, 0 outside; and how many regions."""
    if not mask.any():
        return np.zeros(mask.shape), 0
    import cv2

    n_labels, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    areas = np.bincount(labels.ravel(), minlength=n_labels).astype(np.float64)
    inverse = 1 / areas
    inverse[0] = 0.0  # the background
    return inverse[labels], n_labels - 1
