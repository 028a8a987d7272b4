"""Who changes a bundle: export writes it, calibration and engines change it under its lock."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeinspect.bundle.manifest import CARD, MANIFEST, Manifest, no_bundle, read_manifest
from edgeinspect.bundle.reading import Bundle, read_bundle
from edgeinspect.card import write_card
from edgeinspect.config import Precision
from edgeinspect.constants import Calibration
from edgeinspect.digests import file_sha256
from edgeinspect.errors import BundleError
from edgeinspect.writing import (
    output_errors,
    refuse_foreign,
    replace_folder,
    temporary_sibling,
    to_utf8,
    write_atomically,
)

__all__ = [
    "BundleDraft",
    "bundle_lock",
    "check_target",
    "install_calibration",
    "new_bundle",
    "put_in_place",
]

LOCK = ".lock"
LOCK_TIMEOUT_S = 5.0


@dataclass(slots=True, kw_only=True)
class BundleDraft:
    """A bundle in the making: put files into `folder` and set `manifest` (without hashes)."""

    folder: Path
    manifest: Manifest | None = None


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
        hashes[file.name] = file_sha256(file)
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
        raise no_bundle(path)
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
