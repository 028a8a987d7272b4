"""Reports made by hand, for tests of what reads them."""

from __future__ import annotations

from typing import Any

from edgeinspect.bench.latency import Latency, Ratio
from edgeinspect.bench.results import BaselineResult, BenchReport, VariantResult

HARDWARE = {
    "cpu": "A CPU",
    "cpu_flags": [],
    "n_cores": 4,
    "memory_bytes": None,
    "system": "Linux",
    "gpu": None,
    "compute_capability": None,
    "jetson": None,
    "power": None,
}


def variant(rounds_ms: list[float], **changes: Any) -> VariantResult:
    """ONNX Runtime at batch 1, with everything that can be said."""
    batch = changes.get("batch", 1)
    values: dict[str, Any] = {
        "name": f"onnxruntime fp32 batch {batch}",
        "runtime": "onnxruntime",
        "precision": "fp32",
        "batch": batch,
        "threads": None,
        "latency": Latency.of(rounds_ms),
        "images_per_s": 1e3 * batch / rounds_ms[0],
        "device_ms": None,
        "ratio": Ratio(value=2.5, low=2.4, high=2.6),
        "round_ms": tuple(rounds_ms),
        "times_ms": tuple(rounds_ms),
        "stages_ms": {"decode": 1.0, "compute": 8.0, "end_to_end": 9.2},
        "end_to_end_ms": Latency.of([9.0, 9.4]),
        "roofline": {
            "share": 0.8,
            "limit": "compute",
            "flop_per_byte": 30.0,
            "flop_per_s": 80e9,
            "peak_flop_per_s": 100e9,
            "peak_bytes_per_s": 10e9,
        },
        "energy": {"source": "board", "joules": 5.0, "n_images": 10, "images_per_joule": 2.0},
        "parity": {
            "score_error": 1e-5,
            "map_error": 1e-4,
            "map_correlation": 1.0,
            "is_within": True,
            "problems": [],
        },
        "engine": None,
        "warnings": (),
    }
    return VariantResult(**{**values, **changes})


def report(*variants: VariantResult, **changes: Any) -> BenchReport:
    """A report with these variants beside the unoptimised model."""
    values: dict[str, Any] = {
        "measured_at": "2026-01-02T03:04:05+00:00",
        "bundle": {
            "name": "part",
            "manifest_sha256": "a" * 64,
            "files": {"graph_fp32.onnx": "d" * 64},
            "preset": "tiny",
            "form": "cross",
            "target": "pixels",
            "size_px": 256,
            "merge": [0],
            "n_scales": 3,
            "training_pictures_sha256": "b" * 64,
            "n_training_pictures": 70,
            "calibration": {
                "file": "calibration-1.npz",
                "threshold": 5.0,
                "threshold_ci95": [4.0, 6.0],
                "false_reject_rate": 0.02,
                "false_reject_rate_ci95": [0.01, 0.05],
                "method": "empirical",
                "n_good": 80,
                "rule": "peak",
            },
        },
        "pictures": {"source": "parts", "n_pictures": 8, "n_images": 8, "sha256": "c" * 64},
        "hardware": HARDWARE,
        "versions": {"python": "3.11.7"},
        "settings": {"rounds": 2, "threads": None, "batches": [1]},
        "baselines": (
            BaselineResult(
                name="unoptimised",
                description="preset tiny, eager",
                latency=Latency.of([25.0, 25.0]),
                round_ms=(25.0, 25.0),
                why_not=None,
            ),
        ),
        "variants": variants or (variant([10.0, 10.2]),),
        "left_out": ({"name": "tensorrt", "why": "there is no GPU"},),
        "states": (
            {
                "cpu_mhz": 3000.0,
                "cpu_temperature_c": None,
                "load": 0.1,
                "cpu_governor": "performance",
                "gpu_power_limit_w": None,
                "gpu_mhz": None,
                "gpu_temperature_c": None,
                "throttled_by": [],
            },
        ),
        "warnings": (),
        "notes": (),
    }
    return BenchReport(**{**values, **changes})
