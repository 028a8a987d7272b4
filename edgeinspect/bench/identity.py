"""Which bundle and which pictures were measured: what a signature under a report vouches for."""

from __future__ import annotations

from typing import Any

from edgeinspect.bench.pictures import BenchPictures
from edgeinspect.bench.variants import VariantKey
from edgeinspect.bundle import MANIFEST, Bundle
from edgeinspect.digests import file_sha256, list_sha256
from edgeinspect.errors import EngineError, MissingPackageError
from edgeinspect.runtime.opening import find_engine_here

__all__ = ["bundle_facts", "engine_facts", "picture_facts"]


def bundle_facts(bundle: Bundle) -> dict[str, Any]:
    """Name, settings, hashes, training pictures, threshold; JSON types only."""
    config, manifest = bundle.config, bundle.manifest
    generator, provenance = config.generator, manifest.provenance
    facts: dict[str, Any] = {
        "name": bundle.name,
        "path": str(bundle.path),
        "tool_version": manifest.tool_version,
        "manifest_sha256": file_sha256(bundle.path / MANIFEST),
        "files": dict(manifest.files),
        "preset": config.preset,
        "form": generator.form.value,
        "target": generator.target.value,
        "size_px": generator.size,
        "merge": list(generator.merge_of_blocks),
        "n_scales": generator.n_scales,
        "training_pictures_sha256": list_sha256(provenance.get("training_pictures") or {}),
        "n_training_pictures": provenance.get("n_training"),
        "calibration": None,
    }
    if bundle.calibration is not None:
        threshold = bundle.calibration.threshold
        facts["calibration"] = {
            "file": manifest.calibration,
            "threshold": threshold.value,
            "threshold_ci95": list(threshold.interval),
            "false_reject_rate": threshold.false_reject_rate,
            "false_reject_rate_ci95": list(threshold.rate_interval),
            "method": threshold.method,
            "n_good": threshold.n_good,
            "rule": bundle.calibration.rule.value,
        }
    return facts


def picture_facts(pictures: BenchPictures) -> dict[str, Any]:
    return {
        "source": pictures.source,
        "n_pictures": len(pictures.paths),
        "n_images": len(pictures.tiles),
        "sha256": pictures.sha256,
    }


def engine_facts(bundle: Bundle, key: VariantKey) -> dict[str, Any] | None:
    """Fingerprint, build and proof of the engine that a variant runs on; None without one."""
    if not key.runtime.startswith("tensorrt"):
        return None
    try:
        engine = find_engine_here(bundle, key.runtime, key.precision, key.batch)
    except (EngineError, MissingPackageError):
        return None
    receipt = engine.receipt
    return {
        "fingerprint": receipt.fingerprint,
        "version": receipt.key.version,
        "target": receipt.key.target,
        "batch": str(receipt.key.batch),
        "flags": list(receipt.key.flags),
        "is_proven": receipt.proof is not None,
    }
