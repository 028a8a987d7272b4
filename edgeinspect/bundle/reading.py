"""A bundle read and found whole: its files have the hashes that its manifest says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeinspect.bundle.manifest import CARD, COPY_HINT, MANIFEST, Manifest, read_manifest
from edgeinspect.config import Precision, RunConfig, from_dict
from edgeinspect.constants import Calibration
from edgeinspect.digests import file_sha256
from edgeinspect.errors import BundleError, ConfigError, NotCalibratedError

__all__ = ["Bundle", "read_bundle"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """A bundle that was read and found whole."""

    path: Path
    manifest: Manifest
    config: RunConfig
    calibration: Calibration | None

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def short_id(self) -> str:
        """Twelve hex digits that change with graph, calibration, or anything in the manifest."""
        return hashlib.sha256(self.manifest.to_bytes()).hexdigest()[:12]

    def graph_path(self, precision: Precision = Precision.FP32) -> Path:
        """The scoring graph. Raises: BundleError if it has none of that precision."""
        if precision is Precision.INT8 and not self.has_graph(precision):
            raise BundleError(
                f"{self.path} has no INT8 graph",
                hint=f"run: edgeinspect calibrate {self.path} GOOD_DIR --int8, which makes one"
                " where it is faster and close enough",
            )
        return self._file(f"graph_{precision.value}.onnx")

    @property
    def maps_path(self) -> Path:
        """The graph that ends with un-normalised error maps. Raises: BundleError."""
        return self._file("maps_fp32.onnx")

    @property
    def golden_path(self) -> Path:
        """Images with PyTorch's answers, for `parity.Golden`. Raises: BundleError."""
        return self._file("golden.npz")

    def has_graph(self, precision: Precision) -> bool:
        """Whether it holds a scoring graph of that precision; older ones have FP32 alone."""
        return f"graph_{precision.value}.onnx" in self.manifest.files

    def check_graphs(self) -> None:
        """Hold its files to what was read, but for its calibration, before they are opened again.

        Raises: BundleError if another bundle has taken its place.
        """
        later = (CARD, self.manifest.calibration)
        files = {name: sha for name, sha in self.manifest.files.items() if name not in later}
        _check_files(self.path, files)

    def _file(self, name: str) -> Path:
        if name not in self.manifest.files:
            raise BundleError(
                f"{self.path} holds no {name}", hint=f"it holds {', '.join(self.manifest.files)}"
            )
        return self.path / name

    def require_calibration(self) -> Calibration:
        """The calibration. Raises: NotCalibratedError, with the command, if there is none."""
        if self.calibration is None:
            raise NotCalibratedError(
                f"{self.path} was never calibrated: it has no threshold",
                hint=f"run: edgeinspect calibrate {self.path} GOOD_DIR",
            )
        return self.calibration


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and check its schema and the hash of every file.

    Raises: BundleError if it is missing, incomplete, damaged, or of a newer schema.
    """
    path = Path(path)
    manifest = read_manifest(path)
    while True:
        try:
            return _read_files(path, manifest)
        except BundleError:
            if (newer := read_manifest(path)) == manifest:
                raise
            manifest = newer  # it was calibrated meanwhile


def _read_files(path: Path, manifest: Manifest) -> Bundle:
    _check_files(path, manifest.files)
    config = _config(path, manifest)
    name = manifest.calibration
    calibration = None if name is None else Calibration.load(path / name)
    return Bundle(path=path, manifest=manifest, config=config, calibration=calibration)


def _config(path: Path, manifest: Manifest) -> RunConfig:
    try:
        return from_dict(RunConfig, manifest.config)
    except (ConfigError, TypeError) as error:
        raise BundleError(f"{path / MANIFEST}: {error}", hint=COPY_HINT) from error


def _check_files(path: Path, files: Mapping[str, str]) -> None:
    for name, expected in files.items():
        try:
            found = file_sha256(path / name)
        except FileNotFoundError as error:
            raise BundleError(f"{path} lacks {name}", hint=COPY_HINT) from error
        except OSError as error:
            raise BundleError(f"cannot read {path / name}: {error.strerror}") from error
        if found != expected:
            raise BundleError(
                f"{path / name} is damaged or incomplete: its sha256 begins with {found[:12]},"
                f" the manifest says {expected[:12]}",
                hint=COPY_HINT,
            )
