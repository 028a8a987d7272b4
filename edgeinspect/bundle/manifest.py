"""The manifest: what a bundle says of itself, and the hash of every file that belongs to it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeinspect.errors import BundleError
from edgeinspect.suggestions import suggest_path
from edgeinspect.writing import to_utf8

__all__ = ["CARD", "COPY_HINT", "MANIFEST", "SCHEMA", "Manifest", "no_bundle", "read_manifest"]

SCHEMA = 2  # 2: a statistic may count both ways
MANIFEST = "manifest.json"
CARD = "card.md"
COPY_HINT = "copy the bundle again, or export it again"


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


def read_manifest(path: Path) -> Manifest:
    """Read a bundle's manifest alone, without looking at the other files.

    Raises: BundleError if there is none, or it is damaged or of a newer schema.
    """
    if not path.is_dir():
        raise no_bundle(path)
    try:
        plain = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        schema = int(plain["schema"])
    except FileNotFoundError as error:
        what = f"{path} holds no {MANIFEST}, so it is not a bundle, or half of one"
        raise BundleError(what, hint=COPY_HINT) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path / MANIFEST} is damaged", hint=COPY_HINT) from error
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
        raise BundleError(f"{path / MANIFEST} is damaged: {error}", hint=COPY_HINT) from error
    if not _is_sound(manifest):
        raise BundleError(f"{path / MANIFEST} is damaged", hint=COPY_HINT)
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


def no_bundle(path: Path) -> BundleError:
    """The error that there is none, with a near name."""
    hint = suggest_path(path, otherwise="edgeinspect export writes one", keep=Path.is_dir)
    return BundleError(f"there is no bundle {path}", hint=hint)
