"""What it brings to join the complements of a scale before their pixels are laid out.

    python -m benchmarks.joined_passes [--presets tiny,edge] [--rounds 40]

Two graphs of the same random weights in interleaved rounds on one core: every pass laid out and
smoothed, then selected by eq. 6, and `export/joined.py`. A ratio above 1 says that joining is
faster; `largest_difference` is that of the scores, relative.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cpu_reference import open_whole
from edgeinspect.bench.baseline import make_generator
from edgeinspect.bench.latency import median_ratio
from edgeinspect.bench.machine import read_hardware, read_versions
from edgeinspect.bench.measuring import Case, measure_rounds
from edgeinspect.config import RunConfig, Target, preset
from edgeinspect.constants import neutral_constants
from edgeinspect.export.golden import golden_images
from edgeinspect.export.graph import InspectionGraph
from edgeinspect.model.generator import Generator
from edgeinspect.scoring import error_maps
from edgeinspect.writing import write_atomically

OUT = Path(__file__).parent / "results/joined_passes.json"
OUTPUTS = ["score", "local_score", "global_score", "scale", "anomaly_map"]


class PassByPass(InspectionGraph):
    """The graph as it was: every pass as pixels, smoothed, then eq. 6 as a selection."""

    removed_first: Tensor  # (I, 1, H, W)

    def __init__(self, generator: Generator, config: RunConfig) -> None:
        super().__init__(generator, config)
        removed_first = generator.masks.removed[0::2] > 0
        self.register_buffer("removed_first", removed_first, persistent=False)

    def compare(self, images: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.generator(images).pixels
        recons = torch.where(self.removed_first, pixels[:, :, 0], pixels[:, :, 1])
        return recons, error_maps(images, recons, self.scoring.measures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="nano,tiny,edge", help="names, with commas")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    rows = [measure(preset(n, Target.PIXELS), options.rounds) for n in options.presets.split(",")]
    report = {"hardware": asdict(read_hardware()), "versions": read_versions(), "rows": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out, (json.dumps(report, indent=1) + "\n").encode())


def measure(config: RunConfig, n_rounds: int) -> dict[str, Any]:
    generator = make_generator(config.generator)
    torch.nn.init.normal_(generator.smooth.weight, std=0.1)
    feeds = {"image": golden_images([], config.preprocess)[0][:1], "tile": np.zeros(1, np.int32)}
    feeds |= neutral_constants(config).as_inputs()
    sessions = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in (PassByPass, InspectionGraph):
            path = Path(folder) / f"{kind.__name__}.onnx"
            sessions.append(open_whole(kind(generator, config).eval(), config, path))
    before, after = (session.run(["score"], feeds)[0] for session in sessions)
    cases = [
        Case(name=name, batch=1, run=partial(session.run, OUTPUTS, feeds))
        for name, session in zip(("pass by pass", "joined"), sessions, strict=True)
    ]
    rounds = measure_rounds(cases, n_rounds)
    ratio = median_ratio(rounds[0].medians_ms, rounds[1].medians_ms)
    row = {
        "preset": config.preset,
        "p50_ms": {r.case.name: round(float(np.median(r.medians_ms)), 2) for r in rounds},
        "ratio": asdict(ratio),
        "largest_difference": float(np.abs(after / before - 1).max()),
        "round_ms": {r.case.name: [round(float(ms), 3) for ms in r.medians_ms] for r in rounds},
    }
    print({k: v for k, v in row.items() if k != "round_ms"}, flush=True)
    return row


if __name__ == "__main__":
    main()
