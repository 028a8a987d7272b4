"""The bundle: one folder that carries a model from training to the box beside the line.

    manifest.json            what it is, what is in it (sha256 of every file), where it came from
    graph_fp32.onnx          uint8 image and rule constants in, score and maps out
    graph_fp16.onnx          the same with products in FP16, for GPUs (export.half)
    maps_fp32.onnx           the same generator, un-normalised error maps out (for calibration)
    precision.json           what of graph_fp16.onnx is FP16, and how large its numbers become
    graph_int8.onnx          made on a box whose CPU gains by it (calibration.int8)
    calibration-<hash>.npz   rule constants, threshold, the good scores they came from
    golden.npz, card.md      what to check a box against, and what people should know
    engines/                 built on the box; not in the manifest, each has its own receipt

A bundle exists whole or not at all: it is filled as a temporary sibling and renamed. The
manifest is written last and replaced atomically; it is the one commit point of a calibration.
The card keeps its name when it is written anew: it leaves the manifest before and comes back with
the new calibration, so that at no moment a file has another hash than the manifest says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeinspect.card import write_card
from edgeinspect.config import Precision, RunConfig, from_dict
from edgeinspect.constants import Calibration
from edgeinspect.errors import BundleError, ConfigError, NotCalibratedError
from edgeinspect.suggestions import suggest_path
from edgeinspect.writing import (
    output_errors,
    refuse_foreign,
    replace_folder,
    temporary_sibling,
    to_utf8,
    write_atomically,
)

__all__ = [
    "CARD",
    "MANIFEST",
    "SCHEMA",
    "Bundle",
    "BundleDraft",
    "Manifest",
    "bundle_lock",
    "check_target",
    "install_calibration",
    "new_bundle",
    "put_in_place",
    "read_bundle",
    "read_manifest",
]

SCHEMA = 2  # 2: a statistic may count both ways
MANIFEST = "manifest.json"
CARD = "card.md"
LOCK = ".lock"
LOCK_TIMEOUT_S = 5.0

_COPY_HINT = "copy the bundle again, or export it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `manifest.json` holds; JSON types only inside the dictionaries.

    Attributes:
        tool_version: of the edgeinspect that wrote it.
        config: the plain form of `RunConfig`.
        graph: inputs and outputs (names, dtypes, shapes) and the top-k of each statistic.
        files: sha256 of every file by its name; filled in when the bundle is written.
        provenance: pictures (counts and hashes), training time, metrics, versions.
        calibration: the file that holds the current one, or None.
    """

    schema: int = SCHEMA
    tool_version: str
    name: str
    config: dict[str, Any]
    graph: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    calibration: str | None = None

    def to_bytes(self) -> bytes:
        text = json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False)
        return to_utf8(text + "\n")


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


@dataclass(slots=True, kw_only=True)
class BundleDraft:
    """A bundle in the making: put files into `folder` and set `manifest` (without hashes)."""

    folder: Path
    manifest: Manifest | None = None


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
        raise BundleError(f"{path / MANIFEST}: {error}", hint=_COPY_HINT) from error


def read_manifest(path: Path) -> Manifest:
    """Read a bundle's manifest alone, without looking at the other files.

    Raises: BundleError if there is none, or it is damaged or of a newer schema.
    """
    if not path.is_dir():
        raise _no_bundle(path)
    try:
        plain = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        schema = int(plain["schema"])
    except FileNotFoundError as error:
        what = f"{path} holds no {MANIFEST}, so it is not a bundle, or half of one"
        raise BundleError(what, hint=_COPY_HINT) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path / MANIFEST} is damaged", hint=_COPY_HINT) from error
    except OSError as error:
        raise BundleError(f"cannot read {path / MANIFEST}: {error.strerror}") from error
    if schema > SCHEMA:
        raise BundleError(
            f"{path} has schema {schema}, this edgeinspect reads up to {SCHEMA}",
            hint="run: pip install --upgrade edgeinspect",
        )
    return _manifest(path, plain)


def _manifest(path: Path, plain: dict[str, Any]) -> Manifest:
    try:
        manifest = Manifest(**plain)
    except TypeError as error:
        raise BundleError(f"{path / MANIFEST} is damaged: {error}", hint=_COPY_HINT) from error
    if not _is_sound(manifest):
        raise BundleError(f"{path / MANIFEST} is damaged", hint=_COPY_HINT)
    return manifest


def _is_sound(manifest: Manifest) -> bool:
    """Whether its fields have their types, and its files lie in its folder."""
    parts = (manifest.config, manifest.graph, manifest.files, manifest.provenance)
    if not all(isinstance(part, dict) for part in parts) or not isinstance(manifest.name, str):
        return False
    names_and_hashes = (*manifest.files, *manifest.files.values())
    if not all(isinstance(text, str) for text in names_and_hashes):
        return False
    has_calibration = manifest.calibration is None or manifest.calibration in list(manifest.files)
    return has_calibration and all(name == Path(name).name for name in manifest.files)


def _check_files(path: Path, files: Mapping[str, str]) -> None:
    for name, expected in files.items():
        try:
            found = _sha256(path / name)
        except FileNotFoundError as error:
            raise BundleError(f"{path} lacks {name}", hint=_COPY_HINT) from error
        except OSError as error:
            raise BundleError(f"cannot read {path / name}: {error.strerror}") from error
        if found != expected:
            raise BundleError(
                f"{path / name} is damaged or incomplete: its sha256 begins with {found[:12]},"
                f" the manifest says {expected[:12]}",
                hint=_COPY_HINT,
            )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _no_bundle(path: Path) -> BundleError:
    hint = suggest_path(path, otherwise="edgeinspect export writes one", keep=Path.is_dir)
    return BundleError(f"there is no bundle {path}", hint=hint)


@contextlib.contextmanager
def new_bundle(path: Path, *, force: bool) -> Iterator[BundleDraft]:
    """Write a bundle: fill the draft's folder inside the `with`, set its manifest.

    At the end the hashes are added, the manifest is written last and the folder renamed to
    `path`; after an error nothing of it is left. An engine of the bundle that `force`
    replaces goes with it.
    Raises: OutputError if `path` exists and `force` is not set, if it is no bundle, or
        cannot be written.
    """
    path = Path(path)
    check_target(path, force=force)
    draft = BundleDraft(folder=temporary_sibling(path))
    try:
        with output_errors(path):
            draft.folder.mkdir(parents=True)
        with output_errors(path, within=draft.folder):
            yield draft
        with output_errors(path):
            assert draft.manifest is not None, "a draft needs a manifest"
            files = _hash_folder(draft.folder)
            manifest = dataclasses.replace(draft.manifest, files=files)
            write_atomically(draft.folder / MANIFEST, manifest.to_bytes())
        put_in_place(draft.folder, path)
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)


def check_target(path: Path, *, force: bool) -> None:
    """Refuse a place where `new_bundle` could not write. Raises: OutputError."""
    refuse_foreign(path, marker=MANIFEST, foreign="is not a bundle", force=force)


def _hash_folder(folder: Path) -> dict[str, str]:
    """sha256 of every file, each brought to the disk before the manifest vouches for it."""
    hashes = {}
    for file in sorted(p for p in folder.iterdir() if p.is_file() and p.name != MANIFEST):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
        hashes[file.name] = _sha256(file)
    return hashes


def put_in_place(folder: Path, path: Path) -> None:
    """Rename a finished bundle to `path`; nobody may be changing one that it replaces.

    Raises: BundleError if somebody is, OutputError if it cannot be renamed.
    """
    is_replaced = path.exists()
    with output_errors(path), bundle_lock(path) if is_replaced else contextlib.nullcontext():
        replace_folder(folder, path)


def install_calibration(bundle: Bundle, calibration: Calibration) -> Bundle:
    """Make a calibration the bundle's current one and write its card; an open run keeps the old.

    Args:
        bundle: as it was read before its graph was calibrated.
    Raises: BundleError if the bundle was exported anew since it was read, is damaged or in use
        by another process, OutputError if it cannot be written.
    """
    path = bundle.path
    with bundle_lock(path):
        before = read_manifest(path)
        if _exported(before) != _exported(bundle.manifest):
            raise BundleError(
                f"{path} was exported anew while it was calibrated",
                hint="calibrate it again: a threshold holds for the graph it was set on",
            )
        card = to_utf8(write_card(before, bundle.config, calibration))
        data = calibration.to_bytes()
        digest = hashlib.sha256(data).hexdigest()
        name = f"calibration-{digest[:12]}.npz"
        write_atomically(path / name, data)
        files = {n: h for n, h in before.files.items() if n != CARD}
        write_atomically(path / MANIFEST, dataclasses.replace(before, files=files).to_bytes())
        write_atomically(path / CARD, card)
        files = {n: h for n, h in files.items() if n != before.calibration}
        files |= {name: digest, CARD: hashlib.sha256(card).hexdigest()}
        after = dataclasses.replace(before, files=files, calibration=name)
        write_atomically(path / MANIFEST, after.to_bytes())
        if before.calibration not in (None, name):
            (path / str(before.calibration)).unlink(missing_ok=True)
    return read_bundle(path)


def _exported(manifest: Manifest) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings, and hashes of the files that export writes alone: no box changes them."""
    made_later = (CARD, manifest.calibration, f"graph_{Precision.INT8.value}.onnx")
    files = {name: sha for name, sha in manifest.files.items() if name not in made_later}
    return manifest.config, files


@contextlib.contextmanager
def bundle_lock(path: Path, *, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the right to change a bundle; readers need none.

    Raises: BundleError if there is no bundle or another process holds the lock for longer
        than `timeout_s`, OutputError if the bundle cannot be written.
    """
    from filelock import FileLock, Timeout

    if not path.is_dir():
        raise _no_bundle(path)
    lock = FileLock(path / LOCK)
    with output_errors(path):
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout as error:
            raise BundleError(
                f"{path} is being changed by another process",
                hint="wait until its calibrate or build-engine has ended, then run it again",
            ) from error
    try:
        yield
    finally:
        lock.release()
