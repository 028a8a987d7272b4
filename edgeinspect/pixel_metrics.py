"""How well anomaly maps find drawn defects: pixel AUROC and AUPRO in plain NumPy.

After the maps, by evaluation. Higher values mean more defective; a metric that the data cannot
define (no region, no good pixel) is `None`.

Source: AUPRO from Bergmann et al., arXiv 1911.02357 (per-region overlap, 8-connected regions, area
up to a false-positive rate of 0.3, divided by it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeinspect.metrics import Ranking

__all__ = ["FPR_LIMIT", "PixelTally"]

Doubles = NDArray[np.float64]

FPR_LIMIT = 0.3  # of AUPRO, as published figures use it


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
    good: Doubles
    defect: Doubles
    overlap: Doubles
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

        def join(ours: Doubles, theirs: Doubles) -> Doubles:
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
        return float(ranking.auroc())

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


def _sum_by(place: NDArray[Any], values: NDArray[Any], n_places: int) -> Doubles:
    """(n_places,) sums of the values that share a place."""
    return np.asarray(np.bincount(place, weights=values.ravel(), minlength=n_places), np.float64)


def _value_keys(values: NDArray[np.float32]) -> NDArray[np.int32]:
    """Integers in the order of the floats: their leading 20 bits, negative ones reversed."""
    bits = (values + np.float32(0)).view(np.int32)  # adding 0 makes -0 and 0 the same
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    return np.asarray(ordered >> 12, dtype=np.int32)


def _region_shares(mask: NDArray[np.bool_]) -> tuple[Doubles, int]:
    """(H, W) 1 / area of the region a pixel lies in, 0 outside; and how many regions."""
    if not mask.any():
        return np.zeros(mask.shape), 0
    import cv2

    n_labels, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    areas = np.bincount(labels.ravel(), minlength=n_labels).astype(np.float64)
    areas[0] = np.inf  # the background
    return (1 / areas)[labels], n_labels - 1
