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

manifest.py is what the folder says of itself, reading.py finds it whole, writing.py changes it.
"""

from __future__ import annotations

from edgeinspect.bundle.manifest import CARD, MANIFEST, SCHEMA, Manifest, read_manifest
from edgeinspect.bundle.reading import Bundle, read_bundle
from edgeinspect.bundle.writing import (
    BundleDraft,
    bundle_lock,
    check_target,
    install_calibration,
    new_bundle,
    put_in_place,
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
