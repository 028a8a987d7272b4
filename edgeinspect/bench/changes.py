"""The same run exported and calibrated with fewer scales, with merging, or with other tiles.

Each change is made alone, so that its cost in detection and its gain in time are its own. Needs
torch, and takes a minute or two a change.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeinspect.bench.candidates import AS_IS
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.calibration.calibrate import calibrate, check_count
from edgeinspect.calibration.training_pictures import untrained_pictures
from edgeinspect.config import ResizeRule, RunConfig
from edgeinspect.data.layout import find_good
from edgeinspect.errors import CalibrationError, ConfigError, ExportError
from edgeinspect.export.bundling import write_bundle
from edgeinspect.model.generator import Generator
from edgeinspect.progress import OnProgress
from edgeinspect.training.checkpoint import load_generator

__all__ = ["Change", "list_changes", "make_changed"]

_log = logging.getLogger(__name__)

MERGED_SHARE = 8  # of a masked pass's tokens one in so many, in each block


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A name, and the settings it leads to."""

    name: str
    config: RunConfig


def list_changes(
    config: RunConfig, *, merge: Sequence[int] | None
) -> tuple[list[Change], list[tuple[str, str]]]:
    """What can be changed without training again.

    Args:
        merge: tokens to merge away in each block; None for an eighth of those of a masked pass.
    Returns: the changes, and (change, why) of those that the settings refuse.
    """
    generator = config.generator
    merge = (generator.n_tokens_encoded // MERGED_SHARE,) if merge is None else merge
    scales = generator.mask_scales
    kept = [scales[i:j] for i in range(len(scales)) for j in range(i + 1, len(scales) + 1)]
    ideas: list[tuple[str, str, dict[str, object]]] = [
        (f"scales {','.join(map(str, some))}", "generator", {"mask_scales": some})
        for some in sorted(kept, key=len, reverse=True)
        if some != scales
    ]
    ideas += [(f"merging {r}", "generator", {"merge": r}) for r in merge]
    resize = config.preprocess.resize
    other = ResizeRule.TILE if resize is ResizeRule.SQUASH else ResizeRule.SQUASH
    ideas.append((f"pictures: {other.value}", "preprocess", {"resize": other, "scale": None}))
    changes, refused = [], []
    for name, section, values in ideas:
        try:
            part = dataclasses.replace(getattr(config, section), **values)
            changed = dataclasses.replace(config, **{section: part})
        except ConfigError as error:
            refused.append((name, str(error)))
            continue
        if changed != config:
            changes.append(Change(name=name, config=changed))
    return changes, refused


def make_changed(
    bundle: Bundle,
    run: Path,
    good: Path,
    folder: Path,
    *,
    merge: Sequence[int] | None,
    on_progress: OnProgress,
) -> tuple[list[tuple[str, Bundle]], list[tuple[str, str]]]:
    """Bundles in `folder`, one a change, calibrated on good pictures as the bundle was.

    Args: merge: as of `list_changes`.
    Returns: (change, bundle), and (change, why it could not be made).
    Raises: TrainingError if `run` is none; DataError for `good`; ConfigError if the bundle is not
        of the run; NotCalibratedError; CalibrationError, before anything is exported, for too few
        good pictures that did not train.
    """
    generator, config, provenance = load_generator(run)
    _require_same(bundle, config, run)
    rate = bundle.require_calibration().threshold.false_reject_rate
    pictures = list(untrained_pictures(find_good(good), provenance, skip=True))
    check_count(len(pictures), rate)
    made = []
    changes, failed = list_changes(bundle.config, merge=merge)
    for i, change in enumerate(changes):
        path = folder / f"change-{i}.bundle"
        _log.info("%s: exporting and calibrating", change.name)  # warnings that follow are of it
        try:
            changed = Generator(change.config.generator).eval()
            changed.load_state_dict(generator.state_dict())
            write_bundle(changed, change.config, path, provenance=provenance, pictures=pictures[:3])
            calibrate(path, pictures, false_reject_rate=rate)
            made.append((change.name, read_bundle(path)))
        except (ExportError, CalibrationError) as error:
            failed.append((change.name, str(error)))
        on_progress("exporting and calibrating", i + 1, len(changes))
    return made, failed


def _require_same(bundle: Bundle, config: RunConfig, run: Path) -> None:
    """The weights of `run` must fit the bundle's generator, `AS_IS` or changed."""
    ours, theirs = bundle.config.generator, config.generator
    same = dataclasses.replace(theirs, merge=ours.merge, mask_scales=ours.mask_scales)
    if same != ours:
        raise ConfigError(
            f"{bundle.path} was not exported from {run}: {AS_IS} it has other settings",
            hint="give the run folder that the bundle came from",
        )
