"""Keys and receipts for tests of everything that reads engines."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeinspect.bundle import read_bundle
from edgeinspect.config import Precision
from edgeinspect.engines import BatchRange, Engine, EngineKey, Layers, Receipt, install_engine

PLAN = b"a plan that no TensorRT has seen"
KEY = EngineKey(
    graph_sha256="ab" * 32,
    flavour="tensorrt",
    version="10.3.0",
    target="sm87",
    system="linux-aarch64",
    precision=Precision.FP16,
    batch=BatchRange(smallest=1, tuned=1, largest=8),
)
RECEIPT = Receipt(
    tool_version="1",
    bundle="part",
    key=KEY,
    plan_sha256=hashlib.sha256(PLAN).hexdigest(),
    plan_bytes=len(PLAN),
    is_verified=False,
    proof=None,
    n_tile_positions=64,
    workspace_mib=512,
    build_seconds=1.5,
    built_at="2026-01-02T03:04:05+00:00",
    gpu=None,
    device_memory_bytes=None,
    layers=Layers(is_of_engine=False, n_fp16=3, n_fp32=2, n_int8=0, n_other=1),
)


def receipt_for(key: EngineKey, **changes: Any) -> Receipt:
    return replace(RECEIPT, key=key, **changes)


def install(bundle: Path, key: EngineKey = KEY, **changes: Any) -> Engine:
    """Put an engine of PLAN into a bundle; its graph of FP32 stands in for every precision."""
    fp32 = replace(key, precision=Precision.FP32)
    return install_engine(read_bundle(bundle), PLAN, receipt_for(fp32, **changes))
