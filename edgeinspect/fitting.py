"""`fit`: good pictures in, calibrated bundle out; train, export and calibrate as one.

The pictures are divided by this module: some train, some select the best checkpoint, some
calibrate; neighbouring files stay together. No picture has two uses. At the end the bundle is
tried on synthetic defects, pasted onto the pictures that selected, to say what it finds.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeinspect.bundle import check_target, put_in_place
from edgeinspect.calibration.calibrate import calibrate
from edgeinspect.calibration.thresholds import check_rate, smallest_supported_rate
from edgeinspect.config import ResizeRule, RunConfig
from edgeinspect.constants import Calibration
from edgeinspect.data.appearance import Appearance
from edgeinspect.data.copies import distinct_pictures
from edgeinspect.data.images import read_picture
from edgeinspect.data.layout import find_good
from edgeinspect.data.loading import survey_pictures
from edgeinspect.data.populations import find_populations
from edgeinspect.data.splits import FEWEST_TO_FIT, split_neighbours
from edgeinspect.data.synthetic.pasting import FAINTEST, PER_SEVERITY, paste_defect
from edgeinspect.doctor import read_machine
from edgeinspect.errors import ConfigError, DataError, OutputError
from edgeinspect.export import export_run
from edgeinspect.runtime.inspection import Verdict
from edgeinspect.runtime.inspector import Inspector, open_inspector
from edgeinspect.training.checkpoint import TrainingState
from edgeinspect.training.loop import Progress
from edgeinspect.training.planning import Duration
from edgeinspect.training.run_folder import check_run_target
from edgeinspect.training.train import train
from edgeinspect.writing import temporary_sibling

__all__ = ["DetectionTrial", "Fit", "Split", "fit", "split_good", "try_detection"]

_log = logging.getLogger(__name__)

CALIBRATION_SHARE = 0.3
USUAL_RATE = 0.01
SEVERITIES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
N_PASTED = 16  # defects a severity
FOUND_SHARE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Which pictures do what."""

    training: list[Path]
    selection: list[Path]
    calibration: list[Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionTrial:
    """Synthetic defects of one strength: `contrast` in grey ranges (1st to 99th percentile) of the
    part around them, `area_px` the median area in pixels of the picture.
    """

    severity: float
    contrast: float
    area_px: float
    n_pasted: int
    n_found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What `fit` made, and what to expect of it."""

    split: Split
    training: TrainingState
    calibration: Calibration
    trials: tuple[DetectionTrial, ...]

    @property
    def faintest_found(self) -> DetectionTrial | None:
        """The weakest defects of which, and of all stronger ones, at least 9 in 10 were found."""
        found = None
        for trial in reversed(self.trials):
            if trial.n_found < FOUND_SHARE * trial.n_pasted:
                break
            found = trial
        return found


def fit(
    good_dir: Path,
    bundle: Path,
    run: Path,
    config: RunConfig,
    duration: Duration,
    *,
    false_reject_rate: float | None = None,
    resize: ResizeRule | None = None,
    select: bool = False,
    encoder_weights: str | None = None,
    backbone_weights: str | None = None,
    device: str = "auto",
    force: bool = False,
    on_split: Callable[[Split], None] | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> Fit:
    """Make a calibrated bundle of a folder of good pictures.

    Args:
        run: folder for the training run, which is kept.
        false_reject_rate: None takes 1 %, or the smallest that the pictures support.
        resize: how pictures become images; None lets their shapes decide.
        select: choose the rule on synthetic defects, see `calibrate`.
        encoder_weights: what the encoder starts from, see `train`.
        backbone_weights: of targets with features, see `train`.
    Raises: DataError if there are fewer than 40 readable pictures; what `train`, `export_run` and
        `calibrate` raise. The bundle is there only if all went well.
    """
    check_target(bundle, force=force)  # before minutes are spent
    _refuse_inside(run, bundle)
    go_on = f"go on with: edgeinspect train {good_dir} --out {run} --resume, then export, calibrate"
    check_run_target(run, force=force, hint=f"start anew with --force, or {go_on}")
    if not config.optimiser.holdout:
        raise ConfigError(
            "with holdout=0 no picture selects the checkpoint, and none shows what is found",
            hint="set holdout above 0, or run train, export and calibrate one by one",
        )
    survey = survey_pictures(find_good(good_dir))
    split = _split(survey.paths, config.optimiser.holdout)
    rate = false_reject_rate
    if rate is None:
        rate = max(USUAL_RATE, smallest_supported_rate(len(split.calibration)))
    check_rate(len(split.calibration), rate, share=CALIBRATION_SHARE)
    if on_split is not None:
        on_split(split)
    warnings = _warnings(split, dict(zip(survey.paths, survey.appearances, strict=True)))
    state = train(
        good_dir, run, config, duration, resize=resize,
        only=split.training + split.selection, holdout=split.selection,
        encoder_weights=encoder_weights, backbone_weights=backbone_weights, device=device,
        force=force, on_step=on_step,
    )  # fmt: skip
    seed = config.optimiser.seed
    with _bundle_in_the_making(bundle) as draft:
        notes = {"hardware": _hardware(device), "seconds": state.seconds, "warnings": warnings}
        export_run(run, draft, notes=notes)
        calibration = calibrate(
            draft, split.calibration, false_reject_rate=rate, select=select, seed=seed
        )
    with open_inspector(bundle) as inspector:
        trials = try_detection(inspector, split.selection, seed=seed)
    return Fit(split=split, training=state, calibration=calibration, trials=trials)


def _refuse_inside(run: Path, bundle: Path) -> None:
    """The bundle takes the place of what stands there at the end: the run must not."""
    if bundle.resolve() in (run.resolve(), *run.resolve().parents):
        raise OutputError(
            f"the bundle {bundle} would take the place of its training run {run}",
            hint="name another bundle, such as part.bundle, or another --run",
        )


@contextmanager
def _bundle_in_the_making(bundle: Path) -> Iterator[Path]:
    """A place of the same name for the new bundle, which takes `bundle`'s at the end; after an
    error it is gone, and a bundle that stood there is as it was.
    """
    workshop = temporary_sibling(bundle)
    try:
        yield workshop / bundle.name
        put_in_place(workshop / bundle.name, bundle)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _warnings(split: Split, appearances: Mapping[Path, Appearance]) -> list[str]:
    """What is doubtful about the pictures together; each sentence is logged as well."""
    paths = [*split.training, *split.selection, *split.calibration]
    groups = find_populations([appearances[path] for path in paths])
    if groups is None:
        return []
    told = groups.tell([path.name for path in paths])
    warning = f"{told}: if these are two lots or lights, make a bundle of each, or expect less"
    _log.warning("%s", warning)
    return [warning]


def _hardware(device: str) -> dict[str, str]:
    """Names of what training runs on, for the card."""
    import torch

    machine = read_machine()
    found = {"cpu": machine.cpu, "cores": f"{machine.n_cores} cores"}
    if device != "cpu" and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def split_good(paths: list[Path], holdout: float) -> Split:
    """About three in ten pictures calibrate; of the rest, `holdout` selects the checkpoint.

    Of files with the same content the first counts, so that none has two uses under two names.
    """
    return _split(survey_pictures(paths).paths, holdout)


def _split(paths: Sequence[Path], holdout: float) -> Split:
    """Of paths that can be read."""
    readable = list(distinct_pictures(paths))
    if len(readable) < FEWEST_TO_FIT:
        raise DataError(
            f"{len(readable)} good pictures can be read, and fit divides them among training,"
            " selection and calibration",
            hint=f"give at least {FEWEST_TO_FIT}; a few hundred are better",
        )
    rest, calibration = split_neighbours(readable, CALIBRATION_SHARE)
    training, selection = split_neighbours(rest, holdout)
    return Split(training=training, selection=selection, calibration=calibration)


def try_detection(
    inspector: Inspector, pictures: list[Path], *, seed: int
) -> tuple[DetectionTrial, ...]:
    """Paste defects of growing strength onto good pictures and count how many become NG.

    Onto those that are OK as they are: of the others every defect would count as found. If there
    is none, nothing was tried.
    """
    white = inspector.white_level_16bit
    pictures = [
        path
        for path in pictures[:N_PASTED]
        if inspector(read_picture(path, white_level_16bit=white)).verdict is Verdict.OK
    ]
    if not pictures:
        return ()
    return tuple(_try(inspector, pictures, severity, seed) for severity in SEVERITIES)


def _try(inspector: Inspector, pictures: list[Path], severity: float, seed: int) -> DetectionTrial:
    white = inspector.white_level_16bit
    areas, n_found = [], 0
    for i in range(N_PASTED):
        rng = np.random.default_rng((seed, i))
        path = pictures[i % len(pictures)]
        picture = read_picture(path, white_level_16bit=white)
        pasted = paste_defect(picture, rng, severity=severity)
        areas.append(int(pasted.mask.sum()))
        n_found += inspector(pasted.picture).verdict is Verdict.NG
    return DetectionTrial(
        severity=severity,
        contrast=FAINTEST + PER_SEVERITY * severity,
        area_px=float(np.median(areas)),
        n_pasted=N_PASTED,
        n_found=n_found,
    )
