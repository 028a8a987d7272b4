"""A long stream of synthetic frames through `run`: memory stays flat, every frame has its record.

    python benchmarks/stream_soak.py --frames 100000     # into benchmarks/results
    python benchmarks/stream_soak.py --frames 500 --out soak.json

`stream_soak.json` was made with the small bundle of these two commands, `stream_overhead.json` with
`--frames 100 --overhead-frames 200` and the bundle that `quality.py` makes of `kolektor_sdd`:

    edgeinspect synth small --n-good 60 --n-test 4 --size 64
    edgeinspect fit small/train/good small.bundle --preset nano --target pixels --steps 30
        --false-reject-rate 0.1 --set size=64 --set patch=8 --set mask_scales=1,2,4
        --set width=64 --set decoder_width=64 --set depth=1

A source makes noisy parts in memory and the bundle of the demo judges them (a real model, preset
nano), on one thread. Host overhead is what the run's rate loses against the bare session on the
same images; bare calls and runs alternate, medians are compared.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import edgeinspect
from edgeinspect.bundle import read_bundle
from edgeinspect.runtime.inspector import Inspector
from edgeinspect.runtime.session import Session, open_session
from edgeinspect.stream.choices import Save
from edgeinspect.stream.frames import Delivery, Frame, Recorded
from edgeinspect.stream.run import Run, RunSettings, run_stream

BUNDLE = Path(edgeinspect.__file__).parent / "demo_bundle"
RESULT = Path(__file__).parent / "results" / "stream_soak.json"
N_PICTURES = 16
WARM_UP = 0.05  # of the frames, after which memory is first read
N_OVERHEAD = 5  # bare calls and runs, by turns


class MadeParts:
    """`n` frames of noise on grey, from a few pictures, as fast as they are taken."""

    is_live = False
    is_lossless = True

    def __init__(self, n: int, size: int) -> None:
        random = np.random.default_rng(0)
        shape = (N_PICTURES, size, size, 3)
        self.pictures = random.normal(128, 3, shape).clip(0, 255).astype(np.uint8)
        self.n_frames = n

    @property
    def folders(self) -> set[Path]:
        return set()

    def skip(self, recorded: Recorded) -> None: ...

    def frames(self, stop: threading.Event | None = None) -> Delivery:
        for i in range(self.n_frames):
            yield Frame(
                source=f"made#{i}",
                picture=self.pictures[i % N_PICTURES],
                time_s=time.time(),
                started_s=time.perf_counter(),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--overhead-frames", type=int, default=200)
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="a small one is quicker")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    bundle = read_bundle(asked.bundle)
    with open_session(bundle, runtime="onnxruntime", batch=asked.batch, threads=1) as session:
        inspector = Inspector(bundle, session, batch=asked.batch, maps_of_all=False)
        overhead = measure_overhead(inspector, session, asked.overhead_frames)
        soak = run_long(inspector, asked.frames)
    result = {
        **soak,
        "host_overhead": overhead,
        "bundle": f"{bundle.name}, {bundle.config.preset}, {bundle.config.preprocess.size} px",
        "batch": asked.batch,
        "machine": f"{platform.machine()}, {platform.python_implementation()} "
        f"{platform.python_version()}, {platform.system()}",
        "version": edgeinspect.__version__,
    }
    asked.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def run_long(inspector: Inspector, n: int) -> dict[str, object]:
    """Memory after the warm-up, in between and at the end, and the counts."""
    marks = [int(n * share) for share in (WARM_UP, 0.25, 0.5, 0.75)]
    rss_mib: list[float] = []

    def look(run: Run) -> None:
        if len(rss_mib) < len(marks) and run.tally.n_records >= marks[len(rss_mib)]:
            rss_mib.append(read_rss_mib())

    size = inspector.bundle.config.preprocess.size
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = RunSettings(save=Save.NONE)
        summary = run_stream(inspector, MadeParts(n, size), out, settings, on_tick=look)
        with (out / "records.jsonl").open("rb") as records:
            is_ordered = all(json.loads(line)["seq"] == i for i, line in enumerate(records))
    return {
        "frames_in": summary.n_frames,
        "records_out": summary.n_records,
        "is_ordered": is_ordered,
        "rss_mib_start": rss_mib[0],
        "rss_mib": rss_mib,
        "rss_mib_end": read_rss_mib(),
        "rate_per_s": round(summary.rate_per_s, 2),
        "duration_s": round(summary.duration_s, 1),
        "latency_ms": summary.latency_ms,
    }


def measure_overhead(inspector: Inspector, session: Session, n: int) -> dict[str, object]:
    """What `run` costs over the bare session on the same images, as a share of its rate."""
    size = inspector.bundle.config.preprocess.size
    parts = MadeParts(n, size)
    tiles = [inspector.prepare(picture) for picture in parts.pictures]
    bare_per_s, run_per_s = [], []
    for _ in range(N_OVERHEAD):
        start = time.perf_counter()
        for i in range(0, n, inspector.batch):
            images = [tiles[j % N_PICTURES].tiles for j in range(i, i + inspector.batch)]
            places = np.zeros(len(images), np.int32)
            session.infer(np.concatenate(images), places, map_above=np.inf)
        bare_per_s.append(n / (time.perf_counter() - start))
        with tempfile.TemporaryDirectory() as folder:
            settings = RunSettings(save=Save.NONE)
            summary = run_stream(inspector, MadeParts(n, size), Path(folder) / "run", settings)
        run_per_s.append(summary.rate_per_s)
    bare, run = statistics.median(bare_per_s), statistics.median(run_per_s)
    return {
        "bare_per_s": [round(rate, 2) for rate in bare_per_s],
        "run_per_s": [round(rate, 2) for rate in run_per_s],
        "share": round(1 - run / bare, 4),
    }


def read_rss_mib() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * 4096 / 2**20, 1)


if __name__ == "__main__":
    main()
