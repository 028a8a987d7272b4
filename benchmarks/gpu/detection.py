"""What is found on real parts after training on a GPU: many cases at once, the most telling first.

    python -m benchmarks.gpu.detection DATA_ROOT --work WORK [--workers 8]
    python -m benchmarks.gpu.detection DATA_ROOT --work WORK --device cpu --steps 2    # rehearses

Cases are those of `quality.py` and `ablations.py`; a small network leaves a GPU mostly idle, so
several train at once, each with its share of the cores. What WORK holds is not made again: it can
be cut off at any time and goes on with the cases that lack a result. A case that fails leaves its
reason in WORK/failed and ends no other. Nothing is fetched: parts, weights of the backbone and code
travel with the checkout.

Reports are those of the two scripts, which find in WORK what they need:

    python -m benchmarks.quality DATA_ROOT --work WORK --parts ''
    python -m benchmarks.ablations DATA_ROOT --work WORK --parts ''
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import cv2
import onnxruntime
import torch

from benchmarks import ablations, quality
from benchmarks.parts import PARTS
from benchmarks.quality import Case
from edgeinspect.writing import write_atomically

STEPS_OF_LOSSES = 1000
LOSSES = "losses"


def main() -> None:
    options = _parse()
    found = cases(options.data_root, options.work)
    if options.steps is not None:
        short = options.steps
        found = [replace(case, variant=replace(case.variant, steps=short)) for case in found]
    found = [case for case in found if case.part in options.parts.split(",")]
    if options.only:
        found = [case for case in found if case.name in options.only.split(";")]
    started = time.monotonic()
    spawn = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    share = max(1, len(os.sched_getaffinity(0)) // options.workers)
    with ProcessPoolExecutor(options.workers, spawn, _take_share, (share,)) as pool:
        jobs = {pool.submit(_measure, case, options.device, options.work): case for case in found}
        for job in as_completed(jobs):
            case = jobs[job]
            seconds = time.monotonic() - started
            words = job.result() or "done"
            print(f"{seconds:6.0f} s  {case.part} {case.name} {case.seed}: {words}", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder that holds the parts")
    parser.add_argument("--work", type=Path, required=True, help="for runs, bundles and figures")
    parser.add_argument("--workers", type=int, default=8, help="cases at once")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--only", help="variants by name, with semicolons")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to rehearse")
    parser.add_argument("--steps", type=int, help="in place of each case's own, to rehearse")
    return parser.parse_args()


def cases(data_root: Path, work: Path) -> list[Case]:
    """What takes too long without a GPU, what decides most first."""

    def of(*names: str) -> list[Case]:
        return [quality.case_of(data_root, work, part, n, 0) for n in names for part in PARTS]

    found = of("edge-fine", "edge-both", "edge-pixels", "edge-features", "pixels-long")
    found += _losses(data_root, work, "kolektor_sdd")
    found += of("paper")
    return found + _losses(data_root, work, "magnetic_tile")


def _losses(data_root: Path, work: Path, part: str) -> list[Case]:
    """The paper's Tables 5 to 9, long enough for a discriminator to learn something."""
    found = [ablations.case_of(data_root, work, LOSSES, part, n) for n in ablations.STUDIES[LOSSES]]
    return [replace(case, variant=replace(case.variant, steps=STEPS_OF_LOSSES)) for case in found]


def _take_share(n_threads: int) -> None:
    """Keep a worker's runtimes to its share of the cores; each would take all of them."""
    torch.set_num_threads(n_threads)
    cv2.setNumThreads(n_threads)

    class Options(onnxruntime.SessionOptions):  # type: ignore[misc] # untyped
        def __init__(self) -> None:
            super().__init__()
            self.intra_op_num_threads = n_threads

    onnxruntime.SessionOptions = Options


def _measure(case: Case, device: str, work: Path) -> str | None:
    """Measure a case; gives the reason if it failed."""
    try:
        quality.measure(case, device)
    except Exception as error:  # whatever it is, the other cases go on
        name = f"{case.part}-{case.name}-{case.seed}.txt".replace(" ", "-").replace(",", "")
        file = work / "failed" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, traceback.format_exc().encode())
        return f"failed: {type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    main()
