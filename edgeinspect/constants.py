"""What calibration learns from good parts: the constants of the score rule and the threshold.

The graph takes the constants as inputs (docs/method.md), so a bundle is calibrated without
being exported again. Calibration makes them, the bundle carries them in one .npz without
pickles, a session binds them once.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeinspect.config import Normalisation, Rule, RunConfig
from edgeinspect.errors import BundleError

__all__ = [
    "Calibration",
    "RuleConstants",
    "Threshold",
    "neutral_constants",
    "one_hot",
    "to_npz",
    "weighted",
]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_HINT = "copy the bundle again, or calibrate it again"


def weighted(z: Doubles, stat_weight: Floats) -> Doubles:
    """z (B, S) by weights (S,): z * weight, |z| * |weight| below 0, -inf where there is none."""
    product = z * stat_weight
    return np.where(stat_weight > 0, product, np.where(stat_weight < 0, np.abs(product), -np.inf))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RuleConstants:
    """The graph's inputs besides image and tile; all float32.

    T tile positions, K measures, I mask scales, S = K * I * statistics of one map, ordered
    measure by measure, then scale, then statistic.

    Attributes:
        map_mean: (T, K, I, H, W), subtracted from the error maps.
        map_inv_std: (T, K, I, H, W), what they are multiplied by then.
        stat_mean: (S,), subtracted from the statistics of the normalised maps.
        stat_inv_std: (S,), what they are multiplied by then; the result is z.
        stat_weight: (S,); 0 leaves the statistic out of the peak, below 0 it counts both ways: how
            far it is from usual, up or down.
        precision: (S, S), the inverse covariance of z.
        rule: (3,), one-hot in the order of `config.Rule`.
    """

    map_mean: Floats
    map_inv_std: Floats
    stat_mean: Floats
    stat_inv_std: Floats
    stat_weight: Floats
    precision: Floats
    rule: Floats

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            array = np.ascontiguousarray(getattr(self, field.name), dtype=np.float32)
            object.__setattr__(self, field.name, array)
        n = self.stat_mean.size
        expected = {
            "map_inv_std": self.map_mean.shape,
            "stat_mean": (n,),
            "stat_inv_std": (n,),
            "stat_weight": (n,),
            "precision": (n, n),
            "rule": (len(Rule),),
        }
        _require(self.map_mean.ndim == 5, f"map_mean has shape {self.map_mean.shape}")
        for name, shape in expected.items():
            got = getattr(self, name).shape
            _require(got == shape, f"{name} has shape {got}, not {shape}")

    @classmethod
    def neutral(
        cls, *, n_measures: int, n_scales: int, size: int, n_statistics: int, n_tiles: int = 1
    ) -> RuleConstants:
        """Constants that change nothing: maps as they are, z the statistics, rule `peak`.

        `n_statistics` is S, over all measures and scales.
        """
        maps = (n_tiles, n_measures, n_scales, size, size)
        return cls(
            map_mean=np.zeros(maps, np.float32),
            map_inv_std=np.ones(maps, np.float32),
            stat_mean=np.zeros(n_statistics, np.float32),
            stat_inv_std=np.ones(n_statistics, np.float32),
            stat_weight=np.ones(n_statistics, np.float32),
            precision=np.eye(n_statistics, dtype=np.float32),
            rule=one_hot(Rule.PEAK),
        )

    def peaks(self, statistics: Floats) -> Doubles:
        """What the peak is the largest of: z of statistics (B, S), by `weighted`."""
        z = (statistics.astype(np.float64) - self.stat_mean) * self.stat_inv_std
        return weighted(z, self.stat_weight)

    @property
    def n_tiles(self) -> int:
        """Tile positions that have maps of their own."""
        return int(self.map_mean.shape[0])

    def as_inputs(self) -> dict[str, Floats]:
        """The arrays by the name of the graph's input."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def neutral_constants(config: RunConfig, *, n_tiles: int = 1) -> RuleConstants:
    """Constants that change nothing, of the shapes that a run's graph takes."""
    n_scales = config.generator.n_scales
    return RuleConstants.neutral(
        n_measures=len(config.scoring.measures),
        n_scales=n_scales,
        size=config.generator.size,
        n_statistics=config.scoring.n_statistics(n_scales),
        n_tiles=n_tiles,
    )


def one_hot(rule: Rule) -> Floats:
    """The graph's `rule` input for a rule."""
    return np.array([1.0 if rule is r else 0.0 for r in Rule], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Where OK ends, and how sure that is.

    Attributes:
        value: OK is a finite score that is not above it.
        false_reject_rate: the share of good parts above it that was asked for.
        interval: 95 % of the threshold itself.
        rate_interval: 95 % of the false-reject rate to expect at `value`.
        method: "empirical" (a quantile) or "tail" (peaks over threshold).
        n_good: good parts that it came from.
    """

    value: float
    false_reject_rate: float
    interval: tuple[float, float]
    rate_interval: tuple[float, float]
    method: str
    n_good: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """All that good parts taught a bundle.

    Attributes:
        measures: what `stat_weight` selects, in words for people.
        good_scores: (n,), cross-fitted scores of the good parts, which set the threshold.
        good_local, good_global: (n,), the same parts under the two scores reported.
        good_names: (n) file names, in the same order.
        good_sha256: of the list of these pictures (`digests.list_sha256`); "" if not known.
        good_appearance: (n, 3), mean, spread and gradient of each picture
            (`data.appearance.Appearance`); (0, 3) in calibrations before they were kept.
        warnings: what in these pictures gives reason to doubt, in sentences.
        selection: what a choice between rules tried, or None when nothing was chosen.
        tile_places: (top, left) of each tile position in the resized picture when the maps
            are normalised per pixel, else None: only such pictures can be judged.
    """

    constants: RuleConstants
    threshold: Threshold
    rule: Rule
    normalisation: Normalisation
    measures: tuple[str, ...]
    good_scores: NDArray[np.float64]
    good_local: NDArray[np.float64]
    good_global: NDArray[np.float64]
    good_names: tuple[str, ...]
    selection: dict[str, Any] | None = None
    tile_places: tuple[tuple[int, int], ...] | None = None
    good_sha256: str = ""
    warnings: tuple[str, ...] = ()
    good_appearance: NDArray[np.float64] = dataclasses.field(
        default_factory=lambda: np.zeros((0, 3))
    )

    def __post_init__(self) -> None:
        is_one_rule = np.array_equal(self.constants.rule, one_hot(self.rule))
        _require(is_one_rule, "two rules in one place")
        for name in ("good_scores", "good_local", "good_global"):
            array = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            object.__setattr__(self, name, array)
            _require(array.shape == (len(self.good_names),), f"{name} has shape {array.shape}")
        shape = self.good_appearance.shape
        known = ((0, 3), (len(self.good_names), 3))
        _require(shape in known, f"good_appearance has shape {shape}")
        _require(math.isfinite(self.threshold.value), f"threshold is {self.threshold.value}")

    def to_bytes(self) -> bytes:
        """The .npz file's content; equal calibrations give equal bytes."""
        arrays: dict[str, NDArray[Any]] = {**self.constants.as_inputs()}
        for name in ("good_scores", "good_local", "good_global", "good_appearance"):
            arrays[name] = getattr(self, name)
        text = json.dumps(self._scalars(), sort_keys=True).encode()
        arrays["json"] = np.frombuffer(text, np.uint8)
        return to_npz(arrays)

    def _scalars(self) -> dict[str, Any]:
        return {
            "threshold": dataclasses.asdict(self.threshold),
            "rule": self.rule.value,
            "normalisation": self.normalisation.value,
            "measures": self.measures,
            "good_names": self.good_names,
            "selection": self.selection,
            "tile_places": self.tile_places,
            "good_sha256": self.good_sha256,
            "warnings": self.warnings,
        }

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read a file of `to_bytes`. Raises: BundleError if it is not there or damaged."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                return cls._from_arrays({name: file[name] for name in file.files})
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise BundleError(f"{path} is not a calibration", hint=_HINT) from error
        except zipfile.BadZipFile as error:
            raise BundleError(f"{path} is damaged", hint=_HINT) from error

    @classmethod
    def _from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Calibration:
        scalars = json.loads(arrays["json"].tobytes())
        places = scalars["tile_places"]
        names = [field.name for field in dataclasses.fields(RuleConstants)]
        return cls(
            constants=RuleConstants(**{name: arrays[name] for name in names}),
            threshold=_threshold(scalars["threshold"]),
            rule=Rule(scalars["rule"]),
            normalisation=Normalisation(scalars["normalisation"]),
            measures=tuple(scalars["measures"]),
            good_scores=arrays["good_scores"],
            good_local=arrays["good_local"],
            good_global=arrays["good_global"],
            good_names=tuple(scalars["good_names"]),
            selection=scalars["selection"],
            tile_places=None if places is None else tuple((int(t), int(x)) for t, x in places),
            good_sha256=scalars.get("good_sha256", ""),  # older calibrations have none
            warnings=tuple(scalars.get("warnings", ())),
            good_appearance=arrays.get("good_appearance", np.zeros((0, 3))),
        )


def _require(is_sound: bool, what: str) -> None:
    """No assert: what a file holds is checked under python -O as well."""
    if not is_sound:
        raise ValueError(what)


def _threshold(plain: dict[str, Any]) -> Threshold:
    pairs = {name: tuple(plain[name]) for name in ("interval", "rate_interval")}
    return Threshold(**{**plain, **pairs})


def to_npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    """What `np.savez_compressed` writes, with no clock and no pickle in it, under every NumPy."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()
