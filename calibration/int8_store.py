"""The INT8 graph goes into a bundle, or an earlier one out of it; the manifest says what it is."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from edgeinspect.bundle import MANIFEST, Bundle, bundle_lock, read_bundle, read_manifest
from edgeinspect.errors import BundleError
from edgeinspect.writing import write_atomically

__all__ = ["FP32_FILES", "GRAPH", "RECORD", "install_int8"]

GRAPH = "graph_int8.onnx"
FP32_FILES = ("graph_fp32.onnx", "weights_fp32.bin")  # it is made of them, and reads the second
RECORD = "int8"  # in the manifest's provenance


def install_int8(bundle: Bundle, graph: bytes | None, record: dict[str, Any]) -> Bundle:
    """Make a graph the bundle's INT8 graph; with None it has none from then on.

    At no moment does the file have another hash than the manifest says; an open run keeps what it
    has open.
    Raises: BundleError if the bundle was exported anew since it was read, or is in use;
        OutputError.
    """
    path = bundle.path
    with bundle_lock(path):
        before = read_manifest(path)
        if any(before.files.get(name) != bundle.manifest.files.get(name) for name in FP32_FILES):
            raise BundleError(
                f"{path} was exported anew while its INT8 graph was made", hint="run it again"
            )
        without = dataclasses.replace(
            before,
            files={k: v for k, v in before.files.items() if k != GRAPH},
            provenance={k: v for k, v in before.provenance.items() if k != RECORD},
        )
        if without != before:
            write_atomically(path / MANIFEST, without.to_bytes())
            (path / GRAPH).unlink(missing_ok=True)
        if graph is not None:
            write_atomically(path / GRAPH, graph)
            digest = hashlib.sha256(graph).hexdigest()
            after = dataclasses.replace(
                without,
                files={**without.files, GRAPH: digest},
                provenance={**without.provenance, RECORD: record},
            )
            write_atomically(path / MANIFEST, after.to_bytes())
    return read_bundle(path)
