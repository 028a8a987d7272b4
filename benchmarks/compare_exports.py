"""Two bundles of the same weights, exported by two versions, raced on one CPU core.

    python -m benchmarks.compare_exports BEFORE.bundle AFTER.bundle [--rounds 40]

For changes of the graph: export one run with the version before and after, and give both. The FP32
graphs run in interleaved rounds on the first's golden image. A ratio above 1 says that the second
is faster; `differences` are the largest of each output, relative to its largest value.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edgeinspect.bench.latency import median_ratio
from edgeinspect.bench.machine import read_hardware, read_versions
from edgeinspect.bench.measuring import Case, measure_rounds
from edgeinspect.bundle import Bundle, read_bundle
from edgeinspect.config import Precision
from edgeinspect.parity import Golden
from edgeinspect.runtime.session import OUTPUTS
from edgeinspect.writing import write_atomically

Feeds = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs=2, type=Path, help="of the version before and after")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, help="where to write the result as JSON")
    options = parser.parse_args()
    bundles = [read_bundle(path) for path in options.bundles]
    report = {
        "hardware": asdict(read_hardware()),
        "versions": read_versions(),
        **race(bundles, options.rounds),
    }
    print({key: report[key] for key in ("p50_ms", "ratio", "differences")})
    if options.out is not None:
        write_atomically(options.out, (json.dumps(report, indent=1) + "\n").encode())


def race(bundles: list[Bundle], n_rounds: int) -> dict[str, Any]:
    golden = Golden.load(bundles[0].golden_path)
    feeds = {"image": golden.images[:1], "tile": golden.tile[:1], **golden.constants.as_inputs()}
    sessions = [_open(bundle.graph_path(Precision.FP32)) for bundle in bundles]
    before, after = (session.run(list(OUTPUTS), feeds) for session in sessions)
    cases = [
        Case(name=name, batch=1, run=_call(session, feeds))
        for name, session in zip(("before", "after"), sessions, strict=True)
    ]
    rounds = measure_rounds(cases, n_rounds)
    return {
        "settings": bundles[0].config.preset,
        "p50_ms": {one.case.name: round(float(np.median(one.medians_ms)), 2) for one in rounds},
        "ratio": asdict(median_ratio(rounds[0].medians_ms, rounds[1].medians_ms)),
        "differences": {
            name: float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-9))
            for name, a, b in zip(OUTPUTS, before, after, strict=True)
        },
        "round_ms": {one.case.name: one.medians_ms.round(3).tolist() for one in rounds},
    }


def _open(graph: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _call(session: ort.InferenceSession, feeds: Feeds) -> Callable[[], object]:
    return lambda: session.run(list(OUTPUTS), feeds)


if __name__ == "__main__":
    main()
