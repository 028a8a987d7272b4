"""From good pictures to a calibrated bundle: the steps in order.

    refuse training pictures -> error maps (once) -> cross-fit -> rule -> scores of good parts
    -> threshold -> constants from all pictures -> into the bundle

The graph is never touched and torch is not needed. `edgeinspect calibrate` is this function.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeinspect.bundle import SCHEMA, Bundle, install_calibration, read_bundle
from edgeinspect.calibration.candidates import (
    Candidate,
    candidates,
    default_candidate,
    prefer_normalisation,
)
from edgeinspect.calibration.crossfit import CrossFit, FoldSums, PartScores, crossfit, folds_of
from edgeinspect.calibration.doubts import find_doubts
from edgeinspect.calibration.good_maps import (
    GoodMaps,
    MapCache,
    OnSkipped,
    collect_good_maps,
)
from edgeinspect.calibration.normalisation import block_sides_px, map_constants
from edgeinspect.calibration.rules import fit_statistics
from edgeinspect.calibration.selection import Selection, Selector, select_candidate
from edgeinspect.calibration.thresholds import check_rate, fit_threshold
from edgeinspect.calibration.training_pictures import untrained_pictures
from edgeinspect.config import Normalisation, Rule
from edgeinspect.constants import Calibration, RuleConstants, one_hot
from edgeinspect.digests import list_sha256
from edgeinspect.errors import BundleError, CalibrationError
from edgeinspect.progress import OnProgress, no_progress
from edgeinspect.runtime.session import MapSession, open_maps

__all__ = ["MAX_PIXEL_VALUES", "calibrate", "check_count"]

# Of the maps of all tile places: 250 bytes each while sums and folds are in memory, 2.4 GB in all.
MAX_PIXEL_VALUES = 16 * 3 * 3 * 256**2  # as of 16 places with 3 measures, 3 scales, 256 px

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What was asked for; None leaves the choice to good pictures."""

    rate: float
    rule: Rule | None
    normalisation: Normalisation | None
    is_selected: bool
    seed: int

    def __post_init__(self) -> None:
        if self.is_selected and self.rule is not None:
            raise CalibrationError(
                f"the rule {self.rule.value} was named, and --select would choose one",
                hint="give one of --rule and --select",
            )
        if self.rule is Rule.PAPER and self.normalisation not in (None, Normalisation.NONE):
            raise CalibrationError(
                "the paper's rule reads error maps as they are, not normalised"
                f" ({self.normalisation.value})",
                hint="leave --normalisation out, or use --rule peak",
            )


def calibrate(
    bundle_path: Path,
    good: list[Path],
    *,
    false_reject_rate: float,
    rule: Rule | None = None,
    normalisation: Normalisation | None = None,
    select: bool = False,
    allow_training_pictures: bool = False,
    skip_training_pictures: bool = False,
    seed: int = 0,
    threads: int | None = None,
    on_progress: OnProgress = no_progress,
    on_skipped: OnSkipped | None = None,
) -> Calibration:
    """Give a bundle its constants and threshold, from good pictures in the order they were taken.

    Of files with the same content the first counts: a copy is no further part.

    Args:
        false_reject_rate: share of good parts that may be called NG.
        rule: of the verdict; None is `peak`.
        normalisation: of the error maps; None takes what held-out good pictures prefer.
        select: choose rule, measures and normalisation on synthetic defects.
        seed: of synthetic defects and of the intervals' bootstrap.
        threads: of the CPU; None leaves it to the runtime.
        on_progress: called with (step, done, of how many).
        on_skipped: called with each picture that cannot be read, and what is wrong with it;
            None names them in the log.
    Raises: CalibrationError if the pictures do not support what was asked, or trained the
        model; BundleError; OutputError. The bundle is then as it was.
    """
    request = _Request(
        rate=false_reject_rate,
        rule=rule,
        normalisation=normalisation,
        is_selected=select,
        seed=seed,
    )
    bundle = read_bundle(bundle_path)
    _check_schema(bundle)
    pictures = untrained_pictures(
        good,
        bundle.manifest.provenance,
        allow=allow_training_pictures,
        skip=skip_training_pictures,
    )
    check_count(len(pictures), request.rate)
    with open_maps(bundle, threads=threads) as session, MapCache() as cache:
        steps = _Steps(
            bundle=bundle,
            session=session,
            request=request,
            pictures=pictures,
            on_progress=on_progress,
        )
        calibration = steps.run(cache, on_skipped or _log_skipped)
    install_calibration(bundle, calibration)
    return calibration


def _log_skipped(path: Path, what: str) -> None:
    _log.warning("skipped: %s", what)


def _check_schema(bundle: Bundle) -> None:
    """A threshold must be set on scores as the bundle's own graph makes them."""
    if bundle.manifest.schema < SCHEMA:
        raise CalibrationError(
            f"{bundle.path} was exported by edgeinspect {bundle.manifest.tool_version}, whose graph"
            " scores otherwise",
            hint="export its run again, or train again; as it is calibrated it goes on working",
        )


def check_count(n: int, rate: float) -> None:
    """Raise CalibrationError if n good pictures are too few for a rate.

    Before minutes are spent, and again when broken pictures were left out.
    """
    folds_of(n)
    check_rate(n, rate)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Steps:
    """One calibration under way; `pictures` with the sha256 of each."""

    bundle: Bundle
    session: MapSession
    request: _Request
    pictures: Mapping[Path, str]
    on_progress: OnProgress

    def run(self, cache: MapCache, on_skipped: OnSkipped) -> Calibration:
        good = collect_good_maps(
            self.session,
            list(self.pictures),
            self.bundle.config.preprocess,
            cache,
            on_progress=self.on_progress,
            on_skipped=on_skipped,
        )
        check_count(len(good), self.request.rate)
        self._check_measures(cache)
        places = self._places(good, cache)
        normalisations = self._normalisations()
        if Normalisation.PIXEL not in normalisations:
            places = None
        folds = FoldSums.of(good, n_tiles=1 if places is None else len(places))
        fits = {
            how: crossfit(
                good,
                folds,
                how,
                self._block_sides,
                self.bundle.config.scoring,
                on_progress=self.on_progress,
            )
            for how in normalisations
        }
        candidate, selection = self._choose(good, fits)
        return self._assemble(
            good, folds, places, fits[candidate.normalisation], candidate, selection
        )

    def _check_measures(self, cache: MapCache) -> None:
        """The manifest's settings have no hash; what they name must be what the graph gives."""
        named = [measure.value for measure in self.bundle.config.scoring.measures]
        if cache.shape[0] != len(named):
            raise BundleError(
                f"the manifest of {self.bundle.path} names the measures {', '.join(named)}, and the"
                f" graph gives {cache.shape[0]}: it was edited",
                hint="export it again, with --set scoring.measures",
            )

    @property
    def _block_sides(self) -> tuple[int, ...]:
        return block_sides_px(self.bundle.config.generator)

    @staticmethod
    def _places(good: GoodMaps, cache: MapCache) -> tuple[tuple[int, int], ...] | None:
        """Tile places that `pixel` tells apart; None where one map serves all tiles.

        One map where the pictures' grids differ, and where a map a place would need too much
        memory: a tile's border, where context ends, is in the same place in every tile.
        """
        places = good.tile_places
        if places is None or len(places) * math.prod(cache.shape) > MAX_PIXEL_VALUES:
            return None
        return places

    def _normalisations(self) -> tuple[Normalisation, ...]:
        """Those that are in question, the cheapest first."""
        request = self.request
        if request.normalisation is not None:
            return (request.normalisation,)
        if request.rule is Rule.PAPER:
            return (Normalisation.NONE,)
        none = (Normalisation.NONE,) if request.is_selected else ()
        return (Normalisation.BLOCK, Normalisation.PIXEL, *none)

    def _choose(
        self, good: GoodMaps, fits: dict[Normalisation, CrossFit]
    ) -> tuple[Candidate, Selection | None]:
        config = self.bundle.config
        how = next(iter(fits))
        if Normalisation.BLOCK in fits and Normalisation.PIXEL in fits:
            block, pixel = fits[Normalisation.BLOCK], fits[Normalisation.PIXEL]
            how = prefer_normalisation(block, pixel, config.scoring)
            _log.info("held-out good pictures prefer normalisation by %s", how.value)
        default = default_candidate(self.request.rule or Rule.PEAK, how, config.scoring)
        if not self.request.is_selected:
            return default, None
        selector = Selector(
            session=self.session,
            good=good,
            fits=fits,
            preprocess=config.preprocess,
            scoring=config.scoring,
            n_scales=config.generator.n_scales,
            seed=self.request.seed,
            on_progress=self.on_progress,
        )
        selection = select_candidate(selector, candidates(default, config.scoring, tuple(fits)))
        return selection.chosen, selection

    def _assemble(
        self,
        good: GoodMaps,
        folds: FoldSums,
        places: tuple[tuple[int, int], ...] | None,
        fit: CrossFit,
        candidate: Candidate,
        selection: Selection | None,
    ) -> Calibration:
        """Threshold from cross-fitted scores, constants from all pictures."""
        scores = self._part_scores(fit, candidate)
        how = candidate.normalisation
        digests = [self.pictures[picture.path] for picture in good.pictures]
        return Calibration(
            constants=self._constants(folds, fit, candidate),
            threshold=fit_threshold(
                scores.score, self.request.rate, np.random.default_rng(self.request.seed)
            ),
            rule=candidate.rule,
            normalisation=how,
            measures=tuple(measure.value for measure in candidate.measures),
            good_scores=scores.score,
            good_local=scores.local,
            good_global=scores.global_,
            good_names=tuple(picture.path.name for picture in good.pictures),
            selection=None if selection is None else selection.plain(),
            tile_places=places if how is Normalisation.PIXEL else None,
            good_sha256=list_sha256(digests),
            warnings=tuple(
                find_doubts(
                    good,
                    digests,
                    scores.score,
                    self.bundle.config.scoring.measures,
                    self.bundle.manifest.provenance,
                )
            ),
            good_appearance=np.array([p.appearance.as_row() for p in good.pictures], np.float64),
        )

    def _part_scores(self, fit: CrossFit, candidate: Candidate) -> PartScores:
        config = self.bundle.config
        n_scales = config.generator.n_scales
        weight = candidate.weight(config.scoring, n_scales)
        return fit.score_parts(weight, one_hot(candidate.rule), config.scoring, n_scales)

    def _constants(self, folds: FoldSums, fit: CrossFit, candidate: Candidate) -> RuleConstants:
        config = self.bundle.config
        maps = map_constants(folds.without(), candidate.normalisation, self._block_sides)
        weight = candidate.weight(config.scoring, config.generator.n_scales)
        rest = fit_statistics(fit.statistics, weight, one_hot(candidate.rule))
        return RuleConstants(
            map_mean=maps.map_mean,
            map_inv_std=maps.map_inv_std,
            stat_mean=rest.stat_mean,
            stat_inv_std=rest.stat_inv_std,
            stat_weight=rest.stat_weight,
            precision=rest.precision,
            rule=rest.rule,
        )
