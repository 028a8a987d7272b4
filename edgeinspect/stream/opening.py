"""The inspector of a stream: its session has a thread of its own and can be opened again."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path

from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision, ResizeRule
from edgeinspect.errors import BundleError, ParityError
from edgeinspect.parity import Golden
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.opening import pick_precision
from edgeinspect.runtime.own_thread import OwnThreadSession
from edgeinspect.runtime.proof import prove
from edgeinspect.runtime.session import Session, open_session

__all__ = ["InspectorSettings", "open_inspector_for_stream"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectorSettings:
    """How a bundle is opened, now and each time that it changes. See `open_inspector`.

    Attributes:
        tile: cut pictures or squash them, whatever the bundle says; None leaves it to the bundle.
        white_level_16bit: by which the sources that are open scale pictures of 16 bits; a bundle
            that was made for another is not opened again. None: pictures have 8 bits.
    """

    path: Path
    runtime: str = "auto"
    precision: Precision | None = None
    batch: int = 1
    threads: int | None = None
    maps_of_all: bool = False
    tile: bool | None = None
    white_level_16bit: int | None = None

    def reopen(self) -> Inspector:
        """Read the bundle again, prove it and open it.

        Raises: BundleError, also if it is for other pictures; NotCalibratedError, EngineError;
            ParityError if it does not compute what was trained.
        """
        bundle = read_bundle(self.path)
        white = bundle.config.preprocess.white_level_16bit
        if self.white_level_16bit not in (None, white):
            raise BundleError(
                f"{self.path} has white_level_16bit={white}, and pictures are read with"
                f" {self.white_level_16bit}",
                hint="start the run again",
            )
        self._prove(bundle)
        return open_inspector_for_stream(self, bundle)

    def _prove(self, bundle: Bundle) -> None:
        """Hold a bundle that comes while the line runs to its golden images, if it has them."""
        if "golden.npz" not in bundle.manifest.files:
            return
        golden = Golden.load(bundle.golden_path)
        with open_session(
            bundle,
            runtime=self.runtime,
            precision=self.precision,
            batch=self.batch,
            threads=self.threads,
            constants=golden.constants,
        ) as session:
            precision = pick_precision(bundle, session.name, self.precision)
            report = prove(session, golden, precision)
        if not report.is_within:
            raise ParityError(
                f"{self.path} does not compute what was trained: {'; '.join(report.problems)}"
            )


def open_inspector_for_stream(settings: InspectorSettings, bundle: Bundle) -> Inspector:
    """Open a bundle's session on a thread of its own, so that it can be opened again.

    Raises: NotCalibratedError, EngineError, MissingPackageError.
    """
    bundle = _with_resize(bundle, settings.tile)
    bundle.require_calibration()

    def open_inner() -> Session:
        bundle.check_graphs()  # another bundle may have taken its place since it was read
        return open_session(
            bundle,
            runtime=settings.runtime,
            precision=settings.precision,
            batch=settings.batch,
            threads=settings.threads,
        )

    return Inspector(
        bundle,
        OwnThreadSession(open_inner),
        batch=settings.batch,
        maps_of_all=settings.maps_of_all,
    )


def _with_resize(bundle: Bundle, tile: bool | None) -> Bundle:
    """The bundle, cutting or squashing as asked for; told when it was calibrated otherwise."""
    wanted = bundle.config.preprocess.resize
    if tile is not None:
        wanted = ResizeRule.TILE if tile else ResizeRule.SQUASH
    if wanted is bundle.config.preprocess.resize:
        return bundle
    _log.warning(
        "%s was calibrated with resize=%s: its threshold may not hold for resize=%s",
        bundle.path,
        bundle.config.preprocess.resize.value,
        wanted.value,
    )
    preprocess = dataclasses.replace(bundle.config.preprocess, resize=wanted)
    config = dataclasses.replace(bundle.config, preprocess=preprocess)
    return dataclasses.replace(bundle, config=config)
