"""Does this box compute what was trained? `edgeinspect verify`, without torch.

    golden     the runtime's answers to the bundle's golden images against PyTorch's
    reference  the same of graph_fp32.onnx on ONNX Runtime's CPU, which then stands for PyTorch
    pictures   the runtime against the reference on any pictures, under the current calibration:
               scores, maps, verdicts, and AUROC where there are labels

Two sessions, one after the other for each picture; maps are compared and let go.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeinspect.bundle import Bundle
from edgeinspect.config import Precision
from edgeinspect.constants import RuleConstants
from edgeinspect.data.layout import LabelledPicture, find_pictures
from edgeinspect.data.loading import load_tiles
from edgeinspect.errors import ConfigError, DataError, ImageError, ParityError
from edgeinspect.metrics import auroc
from edgeinspect.parity import (
    AUROC_CHANGE,
    Budget,
    Golden,
    ImageParity,
    ParityReport,
    ScoreUnits,
    budget_of,
    compare_images,
)
from edgeinspect.progress import OnProgress, no_progress
from edgeinspect.runtime.opening import pick_precision, pick_runtime
from edgeinspect.runtime.proof import prove
from edgeinspect.runtime.session import AUTO, Scores, Session, check_name, infer_all, open_session

__all__ = ["PictureParity", "Verification", "verify_bundle"]

REFERENCE = "onnxruntime"
N_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureParity:
    """A runtime against the FP32 graph on pictures.

    Attributes:
        parity: of their tiles.
        flips: names of the parts whose verdict differs, outside the band in which the budget of
            scores allows it; None before calibration.
        auroc: the reference's and the runtime's; None without labels of both kinds.
        skipped: what was wrong with pictures that could not be read.
    """

    n_pictures: int
    parity: ParityReport
    flips: tuple[str, ...] | None
    auroc: tuple[float, float] | None
    skipped: tuple[str, ...]

    @property
    def auroc_change(self) -> float | None:
        return None if self.auroc is None else abs(self.auroc[1] - self.auroc[0])

    @property
    def problems(self) -> tuple[str, ...]:
        """What is beyond the budgets, in sentences that name pictures."""
        found = list(self.parity.problems)
        if self.flips:
            rest = len(self.flips) - N_NAMED
            names = ", ".join(self.flips[:N_NAMED]) + (f", {rest} more" if rest > 0 else "")
            found.append(f"{len(self.flips)} verdicts flip ({names})")
        if self.auroc_change is not None and not self.auroc_change <= AUROC_CHANGE:
            found.append(f"AUROC changes by {self.auroc_change:.4f} of {AUROC_CHANGE:g}")
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` found; `reference` is None where the runtime is the reference itself."""

    bundle: str
    runtime: str
    precision: Precision
    golden: ParityReport
    reference: ParityReport | None
    pictures: PictureParity | None

    @property
    def problems(self) -> tuple[str, ...]:
        """What is beyond the budgets."""
        found = [f"golden images: {problem}" for problem in self.golden.problems]
        if self.reference is not None:
            found += [f"the reference itself: {problem}" for problem in self.reference.problems]
        if self.pictures is not None:
            found += [f"pictures: {problem}" for problem in self.pictures.problems]
        return tuple(found)

    @property
    def is_within(self) -> bool:
        return not self.problems

    def require(self) -> None:
        """Raise ParityError, which names the images, unless all is within the budgets."""
        if not self.is_within:
            raise ParityError(
                f"{self.bundle} on {self.runtime} in {self.precision.value} does not compute what"
                f" was trained: {'; '.join(self.problems)}",
                hint="copy the bundle again, or build its engine again with --force",
            )

    def plain(self) -> dict[str, Any]:
        """JSON types only; stable keys."""
        found: dict[str, Any] = dataclasses.asdict(self)
        found["precision"] = self.precision.value
        if self.pictures is not None:
            found["pictures"]["auroc_change"] = self.pictures.auroc_change
        return {**found, "is_within": self.is_within, "problems": list(self.problems)}


def verify_bundle(
    bundle: Bundle,
    *,
    runtime: str = AUTO,
    precision: Precision | None = None,
    batch: int = 1,
    threads: int | None = None,
    images: Path | None = None,
    on_progress: OnProgress = no_progress,
) -> Verification:
    """Compare a runtime with PyTorch, whose answers the bundle carries.

    Args:
        runtime, precision, batch, threads: as `open_session`.
        images: a folder of pictures, labelled (test/good, test/DEFECT) or not.
    Raises: what `open_session` raises; BundleError if the bundle has no golden outputs; DataError
        for the folder; ConfigError if it is to be compared with itself. Being beyond the budget
        raises nothing: see `Verification.require`.
    """
    check_name(runtime)
    if runtime == AUTO:
        runtime = pick_runtime(bundle, precision, batch)
    precision = pick_precision(bundle, runtime, precision)
    is_reference = (runtime, precision) == (REFERENCE, Precision.FP32)
    if is_reference and images is not None:
        raise ConfigError(
            f"{runtime} in fp32 is what pictures are compared with",
            hint="add --precision fp16, or another --runtime",
        )
    golden = Golden.load(bundle.golden_path)

    def opener(constants: RuleConstants) -> Session:
        return open_session(
            bundle,
            runtime=runtime,
            precision=precision,
            batch=batch,
            threads=threads,
            constants=constants,
        )

    with opener(golden.constants) as session:
        found = prove(session, golden, precision)
    on_progress("golden images", 1, 1)
    reference = None if is_reference else _prove_reference(bundle, golden, threads)
    pictures = None
    if images is not None:
        comparison = _Comparison(bundle, golden, budget_of(precision), threads, batch)
        pictures = comparison.run(find_pictures(images), opener, on_progress)
    return Verification(
        bundle=str(bundle.path),
        runtime=runtime,
        precision=precision,
        golden=found,
        reference=reference,
        pictures=pictures,
    )


def _prove_reference(bundle: Bundle, golden: Golden, threads: int | None) -> ParityReport:
    with open_session(
        bundle,
        runtime=REFERENCE,
        precision=Precision.FP32,
        threads=threads,
        constants=golden.constants,
    ) as session:
        return prove(session, golden, Precision.FP32)


def _name(picture: LabelledPicture) -> str:
    """With its folder, which tells the class."""
    return f"{picture.path.parent.name}/{picture.path.name}"


class _Comparison:
    """Both sessions over all pictures, one picture at a time."""

    def __init__(
        self, bundle: Bundle, golden: Golden, budget: Budget, threads: int | None, batch: int
    ) -> None:
        calibration = bundle.calibration
        self._bundle, self._budget = bundle, budget
        self._threads, self._batch = threads, batch
        self._constants = golden.constants if calibration is None else calibration.constants
        self._units = ScoreUnits() if calibration is None else ScoreUnits.of(calibration)
        self._threshold = None if calibration is None else calibration.threshold.value
        self._images: list[ImageParity] = []
        self._scores: list[tuple[float, float]] = []  # of each part: reference, runtime
        self._parts: list[LabelledPicture] = []
        self._skipped: list[str] = []

    def run(
        self,
        pictures: Sequence[LabelledPicture],
        opener: Callable[[RuleConstants], Session],
        on_progress: OnProgress,
    ) -> PictureParity:
        with self._sessions(opener) as (reference, session):
            for i, picture in enumerate(pictures):
                self._add(picture, reference, session)
                on_progress("pictures", i + 1, len(pictures))
        if not self._parts:
            raise DataError(f"none of {len(pictures)} pictures could be read: {self._skipped[0]}")
        return PictureParity(
            n_pictures=len(self._parts),
            parity=ParityReport.of(self._images, self._budget),
            flips=self._flips(),
            auroc=self._auroc(),
            skipped=tuple(self._skipped),
        )

    @contextlib.contextmanager
    def _sessions(
        self, opener: Callable[[RuleConstants], Session]
    ) -> Iterator[tuple[Session, Session]]:
        reference = open_session(
            self._bundle,
            runtime=REFERENCE,
            precision=Precision.FP32,
            threads=self._threads,
            constants=self._constants,
        )
        with reference, opener(self._constants) as session:
            yield reference, session

    def _add(self, picture: LabelledPicture, reference: Session, session: Session) -> None:
        try:
            loaded = load_tiles(picture.path, self._bundle.config.preprocess)
        except ImageError as error:
            self._skipped.append(str(error))
            return
        n, n_known = len(loaded.tiles), self._constants.n_tiles
        if n_known not in (1, n):
            self._skipped.append(f"{picture.path} has {n} tiles, the calibration knows {n_known}")
            return
        tile = np.zeros(n, np.int32) if n_known == 1 else np.arange(n, dtype=np.int32)
        left, right = (
            infer_all(s, loaded.tiles, tile, batch=self._batch) for s in (reference, session)
        )
        self._parts.append(picture)
        self._scores.append((float(left.score.max()), float(right.score.max())))
        self._images += self._compare(left, right, picture)

    def _compare(self, left: Scores, right: Scores, picture: LabelledPicture) -> list[ImageParity]:
        scoring = self._bundle.config.scoring
        return compare_images(
            left,
            right,
            self._constants,
            self._budget,
            n_placed=scoring.n_placed,
            mean_index=scoring.mean_index,
            units=self._units,
            names=[_name(picture)] * len(left.score),
        )

    def _flips(self) -> tuple[str, ...] | None:
        threshold = self._threshold
        if threshold is None:
            return None
        band = self._budget.score_error * self._units.score
        return tuple(
            _name(part)
            for part, (left, right) in zip(self._parts, self._scores, strict=True)
            if (left <= threshold) != (right <= threshold) and not abs(left - threshold) <= band
        )

    def _auroc(self) -> tuple[float, float] | None:
        is_defect = [not part.is_good for part in self._parts]
        scores = np.array(self._scores)
        if not np.isfinite(scores).all():
            return None
        left, right = (auroc(scores[:, i], is_defect) for i in range(2))
        return None if left is None or right is None else (left, right)
